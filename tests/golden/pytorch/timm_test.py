"""Weights to timm and back: what we export loads strictly there and gives the same logits, and its checkpoints do so
here.

timm comes from PyPI, into a virtual environment that sees Debian's torch and torchvision; usage: timm_test.py FOLDER,
where the environment is made on first use.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import unittest

_PACKAGES = ["huggingface_hub==0.36.2", "safetensors==0.8.0"]
# Without its dependencies: torch and torchvision would come again, in gigabytes.
_TIMM = "timm==0.9.16"


def enter_environment(folder):
    """Runs this program again inside the environment, which it makes if it is not there."""
    python = os.path.join(folder, "bin", "python")
    done = os.path.join(folder, _TIMM)
    if not os.path.exists(done):
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--system-site-packages", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_PACKAGES], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", _TIMM], check=True)
        with open(done, "w", encoding="ascii"):
            pass
    os.execv(python, [python, os.path.abspath(__file__)])


if __name__ == "__main__" and len(sys.argv) == 2:
    enter_environment(sys.argv[1])

import safetensors.torch
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

import trainer
import vit

_CLASSES = 7


class Model:
    """A shape both as an architecture file and as timm makes it.

    `wrap` makes of a state dict what the checkpoint holds.
    """

    def __init__(self, described, make, image=32, classes=_CLASSES, wrap=lambda state: state, **config):
        self.architecture = dict(image_size=image, patch_size=16, channels=3, classes=classes, vit=described)
        self.make = make
        self.image = image
        self.wrap = wrap
        self.depths = described["stage_depths"]
        self.config = dict(image=image, patch=16, channels=3, classes=classes, **config)

    def timm(self):
        return self.make().eval()

    def ours(self):
        return vit.Chain(self.config, self.depths)


_MODELS = {
    "deit_tiny": Model(dict(preset="deit_tiny_patch16_224", stage_depths=[3, 4, 3, 2]),
                       lambda: timm.create_model("deit_tiny_patch16_224", num_classes=_CLASSES, img_size=32),
                       dim=192, heads=3),
    # As published: its own size and classes, and the dictionary that DeiT's checkpoints have.
    "deit_tiny_224": Model(dict(preset="deit_tiny_patch16_224", stage_depths=[3, 3, 3, 3]),
                           lambda: timm.create_model("deit_tiny_patch16_224"), image=224, classes=1000,
                           wrap=lambda state: {"model": state}, dim=192, heads=3),
    "parameters": Model(dict(embed_dim=192, heads=3, stage_depths=[1, 2]),
                        lambda: timm.create_model("vit_tiny_patch16_224", depth=3, num_classes=_CLASSES, img_size=32),
                        wrap=lambda state: {key: torch.nn.Parameter(value) for key, value in state.items()},
                        dim=192, heads=3),
    # As ViT-H of the published checkpoints, but for its size.
    "no_qkv_bias": Model(dict(embed_dim=80, heads=4, qkv_bias=False, layer_norm_epsilon=1e-5, stage_depths=[1, 2]),
                         lambda: VisionTransformer(
                             img_size=32, patch_size=16, embed_dim=80, depth=3, num_heads=4, num_classes=_CLASSES,
                             qkv_bias=False, norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-5)),
                         dim=80, heads=4, qkv_bias=False, eps=1e-5),
}


class TimmTest(trainer.TrainerTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _distill(self, *arguments):
        run = subprocess.run([trainer.program("distill"), "artifact", *arguments], capture_output=True, text=True,
                             check=False)
        self.assertEqual(run.returncode, 0, run.stderr)

    def _describe(self, model):
        with open(self._path("arch.json"), "w", encoding="utf-8") as out:
            json.dump({"format": "distillery-architecture-1", **model.architecture}, out)
        return self._path("arch.json")

    def _logits(self, model, weights, x):
        return trainer.predict(model.architecture, weights, {"input": x})["logits"]

    def test_exported_weights_load_into_timm(self):
        for name, model in _MODELS.items():
            with self.subTest(name):
                ours = trainer.randomize(model.ours(), 1, scale=0.1)
                weights = {key: p.detach().clone() for key, p in ours.names()}
                safetensors.torch.save_file(weights, self._path("staged.safetensors"))
                self._distill("export", self._path("staged.safetensors"), "--to", self._path(name), "--names", "flat",
                              "--arch", self._describe(model))
                peer = model.timm()
                exported = safetensors.torch.load_file(os.path.join(self._path(name), "weights.safetensors"))
                peer.load_state_dict(exported, strict=True)
                x = trainer.random(2, 3, 3, model.image, model.image).float()
                with torch.no_grad():
                    self.assert_close(self._logits(model, weights, x), peer(x), torch.float32, name)

    def test_timm_checkpoints_are_imported(self):
        for name, model in _MODELS.items():
            with self.subTest(name):
                torch.manual_seed(3)
                peer = trainer.randomize(model.timm(), 4, scale=0.1)
                torch.save(model.wrap(peer.state_dict()), self._path("timm.pth"))
                self._distill("import", self._path("timm.pth"), "--as", "teacher", "--arch", self._describe(model),
                              "--to", self._path("ours.safetensors"))
                x = trainer.random(5, 3, 3, model.image, model.image).float()
                weights = safetensors.torch.load_file(self._path("ours.safetensors"))
                with torch.no_grad():
                    self.assert_close(self._logits(model, weights, x), peer(x), torch.float32, name)


if __name__ == "__main__":
    unittest.main()
