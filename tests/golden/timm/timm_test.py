"""timm's Vision Transformers, imported and exported again: the trainer gives timm's logits, and timm loads the
export strictly.

timm comes from PyPI; Debian has torch and torchvision:
   pip install --no-deps --target DIR timm==0.9.12 huggingface_hub==0.20.3 safetensors==0.4.1
   DISTILL_TIMM_PATH=DIR ctest -R timm
Without it the test is skipped."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import torch

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(_HERE, os.pardir, "pytorch"))
if os.environ.get("DISTILL_TIMM_PATH"):
    sys.path.insert(0, os.environ["DISTILL_TIMM_PATH"])

try:
    import timm
except ImportError as missing:
    print(f"skipped: {missing}; see the top of {__file__}")
    sys.exit(77)
import safetensors_file  # noqa: E402

_BIN = os.environ.get("DISTILL_BIN_DIR") or os.path.join(
    _HERE, *[os.pardir] * 3, "build", "release", "bin")


def run(program, *arguments):
    command = [os.path.join(_BIN, program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}: {done.stderr}")


class TimmTest(unittest.TestCase):
    def check(self, name, depths, preset=None, checkpoint=lambda state: {"model": state}, **options):
        torch.manual_seed(0)
        model = timm.create_model(name, depth=sum(depths), **options).eval()
        with torch.no_grad():  # Small models start with nearly equal logits.
            for p in model.parameters():
                p.mul_(2.0) if p.dim() > 1 else p.add_(0.1 * torch.randn_like(p))
        image, classes = model.patch_embed.img_size[0], model.num_classes
        network = {"stage_depths": depths}
        if preset:
            network["preset"] = preset
        else:
            network.update(embed_dim=model.embed_dim, heads=model.blocks[0].attn.num_heads,
                           qkv_bias=options.get("qkv_bias", True))
        architecture = {"format": "distillery-architecture-1", "image_size": image, "channels": 3,
                        "patch_size": model.patch_embed.patch_size[0], "classes": classes, "vit": network}
        with tempfile.TemporaryDirectory() as folder:
            def path(leaf):
                return os.path.join(folder, leaf)
            with open(path("arch.json"), "w", encoding="utf-8") as out:
                json.dump(architecture, out)
            torch.save(checkpoint(model.state_dict()), path("timm.pth"))
            run("distill", "artifact", "import", path("timm.pth"), "--as", "teacher", "--arch",
                path("arch.json"), "--to", path("ours.safetensors"))

            pixels = torch.randn(2, 3, image, image)
            safetensors_file.write(path("in"), {"input": pixels})
            run("distill-trainer", "predict", "--arch", path("arch.json"), "--weights",
                path("ours.safetensors"), "--input", path("in"), "--output", path("out"))
            with torch.no_grad():
                wanted = model(pixels)
            got = safetensors_file.read(path("out"))["logits"]
            self.assertGreater(float(wanted.std()), 0.01)
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=2e-5)

            run("distill", "artifact", "export", path("ours.safetensors"), "--to", path("export"),
                "--names", "flat")
            exported = safetensors_file.read(path("export/weights.safetensors"))
            again = timm.create_model(name, depth=sum(depths), **options).eval()
            again.load_state_dict(exported, strict=True)
            with torch.no_grad():
                self.assertTrue(torch.equal(again(pixels), wanted))

    def test_deit_tiny(self):
        self.check("deit_tiny_patch16_224", [3, 3, 3, 3], preset="deit_tiny_patch16_224")

    def test_small_image_and_parameters(self):
        self.check("vit_tiny_patch16_224", [1, 2], img_size=32, num_classes=7,
                   checkpoint=lambda state: {k: torch.nn.Parameter(v) for k, v in state.items()})

    def test_without_qkv_bias(self):
        self.check("vit_small_patch16_224", [2, 1], img_size=48, num_classes=5, qkv_bias=False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
