"""Runs `distill-trainer predict` and compares what it writes with a network in PyTorch."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import torch

import losses
import safetensors_file
from fill_rule import norm_weights

_BIN = os.environ.get("DISTILL_BIN_DIR") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3, "build", "release", "bin")

# (relative, absolute) by type. Programs that sum in another order agree to a few units in the last place of
# the largest term; what a fault would change is far larger.
# Where the trainer computes; PyTorch itself stays on the processor.
_DEVICE = os.environ.get("DISTILL_TEST_DEVICE", "cpu")
SKIPPED = 77  # Of ctest.

TOLERANCES = {torch.float32: (1e-4, 2e-5), torch.float64: (1e-9, 1e-11)}


def randomize(module, seed, scale=0.3):
    """Normal numbers of that scale, one more for weights of layer norms."""
    generator = torch.Generator().manual_seed(seed)
    norms = norm_weights(module)
    for p in module.parameters():
        values = scale * torch.randn(p.shape, generator=generator, dtype=torch.float64)
        p.data = (values + (1.0 if id(p) in norms else 0.0)).to(p.dtype)
    return module


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def program(name):
    return os.path.join(_BIN, name)


def predict(architecture, weights, batch, options=(), meta=None):
    """Returns the tensors that the trainer writes. Raises RuntimeError with its message if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: os.path.join(folder, name) for name in ("arch", "weights", "meta", "input", "output")}
        with open(paths["arch"], "w", encoding="utf-8") as out:
            json.dump({"format": "distillery-architecture-1", **architecture}, out)
        safetensors_file.write(paths["weights"], weights)
        safetensors_file.write(paths["input"], batch)
        given = ["arch", "weights", "input", "output"]
        if meta is not None:
            safetensors_file.write(paths["meta"], meta)
            given.append("meta")
        command = [program("distill-trainer"), "predict", "--device", _DEVICE, *options]
        for name in given:
            command += ["--" + name, paths[name]]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {run.returncode}: {run.stderr}")
        return safetensors_file.read(paths["output"])


def main():
    """Runs the tests of the calling program, unless they want a device that this machine or the trainer has not."""
    if _DEVICE != "cpu":
        # It looks for the device before it looks at files.
        probe = subprocess.run([program("distill-trainer"), "predict", "--device", _DEVICE, "--arch", "-", "--weights", "-",
                                "--input", "-", "--output", "-"], capture_output=True, text=True, check=False)
        if "finds no GPU" in probe.stderr:
            print(f"skipped: {probe.stderr.strip()}")
            sys.exit(SKIPPED)
    unittest.main()


class TrainerTest(unittest.TestCase):
    def assert_close(self, got, want, dtype, label):
        relative, absolute = TOLERANCES[dtype]
        self.assertEqual(got.shape, want.shape, label)
        self.assertEqual(got.dtype, dtype, label)
        self.assertTrue(bool(torch.isfinite(got).all()), label)
        error = (got - want.detach()).abs()
        excess = (error - relative * want.detach().abs() - absolute).max()
        self.assertLessEqual(float(excess), 0.0, f"{label}: off by up to {float(error.max())}")

    def assert_agrees(self, architecture, forward, named, batch, options=(), meta=None, outputs=None, loss=None,
                      constants=()):
        """In both types: runs `forward`, a function of the input, and the trainer; compares the output, the loss and
        the gradient of every parameter.

        named    (name in the file, parameter) pairs of the trained network, in float64
        batch    float64 "input", and what the loss needs
        outputs  a function of nothing that gives named intermediate tensors of the last forward pass
        constants names and tensors of the file that are not trained
        loss     of the output, a scalar; by default its product with batch["output_gradient"]
        """
        named = list(named)
        loss = loss or (lambda output, data: (output * data["output_gradient"]).sum())
        modules = [forward] if isinstance(forward, torch.nn.Module) else list(forward.modules)
        for dtype in (torch.float64, torch.float32):
            for module in modules:
                module.to(dtype)
                module.zero_grad()
            data = {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}
            weights = {name: p for name, p in named}
            weights.update({name: p.to(dtype) for name, p in constants})
            got = predict(architecture, weights, data,
                          ["--dtype", str(dtype)[6:], "--gradients", "--intermediate", "all", *options],
                          meta and {name: p.to(dtype) for name, p in meta})
            x = data["input"].clone().requires_grad_()
            output = forward(x)
            value = loss(output, data)
            value.backward()
            self.assert_close(got["logits" if output.dim() == 2 else "tokens"], output, dtype, "output")
            self.assert_close(got["loss"], value, dtype, "loss")
            for name, tensor in (outputs() if outputs else {}).items():
                self.assert_close(got[name], tensor, dtype, name)
            wanted = {"gradient." + name for name, _ in named}
            self.assertEqual({n for n in got if n.startswith("gradient.")} - {"gradient.input"}, wanted)
            for name, p in named:
                gradient = torch.zeros_like(p) if p.grad is None else p.grad
                self.assert_close(got["gradient." + name], gradient, dtype, "gradient." + name)
            if "gradient.input" in got:
                self.assert_close(got["gradient.input"], x.grad, dtype, "gradient.input")


class Hybrid:
    """A meta model of which one stage is replaced by `module`."""

    def __init__(self, meta, index, module):
        self.index, self.modules = index, [meta, module]
        self.meta, self.module = meta, module
        self.outputs = {}
        meta.requires_grad_(False)

    def __call__(self, x):
        for s, stage in enumerate(self.meta.stages):
            x = (self.module if s == self.index else stage)(x)
            self.outputs[f"stage.{s}"] = x
        return x

    def meta_weights(self):
        """(name, tensor) pairs of the whole meta model's file."""
        return list(self.meta.names())


def distillation_loss(alpha, tau, divisor):
    """The loss of a batch with shares as targets and teacher logits, and the options that ask for it."""
    options = ["--alpha", str(alpha), "--tau", str(tau), "--divisor", divisor]
    return options, lambda z, data: losses.combined(z, data["targets"], data["teacher_logits"], alpha, tau, divisor)[0]
