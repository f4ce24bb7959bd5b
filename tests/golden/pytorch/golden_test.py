"""Holds these networks to the golden values, so that the trainer can be held to them on other weights."""

import json
import os
import unittest

import torch

import losses
import nac
import routers
import vit
from fill_rule import fill, wave

_DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "data")


def _load(name):
    with open(os.path.join(_DATA, name), encoding="utf-8") as source:
        return json.load(source)


class GoldenTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.values = {**_load("models.json"), **_load("nac.json")}
        cls.recipes = _load("optimization.json")

    def assert_close(self, got, want, label=""):
        got, want = torch.as_tensor(got).detach().double(), torch.as_tensor(want).double()
        self.assertEqual(got.shape, want.shape, label)
        finite = torch.isfinite(want)
        self.assertTrue(torch.equal(torch.isfinite(got), finite), label)
        fits = torch.isclose(got[finite], want[finite], rtol=1e-4, atol=2e-5)
        self.assertTrue(bool(fits.all()), f"{label}: got {got.tolist()}, want {want.tolist()}")

    def assert_golden(self, got, key):
        entry = self.values[key]
        data = [float("-inf") if v is None else v for v in entry["data"]]
        self.assert_close(got, torch.tensor(data).reshape(entry["shape"]), key)


_IMAGE = dict(image=8, patch=4, dim=8, heads=2, classes=5)
_PIXELS = wave(2, 3, 8, 8, frequency=0.3)


def _student(role):
    config = dict(_IMAGE, mlp_ratio=2)
    if role == "first":
        model = vit.Chain(config, [2], role, moe=[1], experts=3, post=[1], stitch=12)
    else:
        model = vit.Chain(config, [2], role, moe=[0, 1], experts=3, pre=[0], stitch=12)
    return fill(model, 0.3, model.names())


class VitGoldenTest(GoldenTest):
    def test_vit(self):
        model = vit.Chain(_IMAGE, [1, 2])
        fill(model, 0.3, model.names())
        tokens = model.stages[0](_PIXELS)
        logits = model(_PIXELS)
        self.assert_golden(tokens, "G1 ViT|fwd(0,1)")
        self.assert_golden(model.stages[1](tokens), "G1 ViT|fwd(1,3)")
        self.assert_golden(logits, "G1 ViT|logits")
        (logits * wave(2, 5, frequency=0.5)).sum().backward()
        self.assert_golden(model.stages[0].cls_token.grad, "G1 ViT|grad cls")
        self.assert_golden(model.stages[1].blocks[1].mlp.fc1.weight.grad, "G1 ViT|grad fc1 stage1.1")

    def test_mixture_of_experts(self):
        self.assert_golden(_student("first")(_PIXELS), "G2 VMoE|student0 out")
        self.assert_golden(_student("last")(wave(2, 5, 12, frequency=0.3)), "G2 VMoE|student-1 out")
        model = vit.Chain(dict(_IMAGE, mlp_ratio=2), [2, 2], moe=range(4), experts=3)
        fill(model, 0.3, model.names())
        self.assert_golden(model(_PIXELS), "G2 VMoE|full logits")

    def test_module_distillation(self):
        wide = dict(_IMAGE, dim=12)
        meta, teacher = vit.Chain(wide, [1, 1]), vit.Chain(wide, [2, 2])
        fill(meta, 0.2, meta.names())
        fill(teacher, 0.25, teacher.names())
        golden = self.recipes["module_distillation"]
        targets = torch.tensor(golden["targets"])
        for row in golden["rows"]:
            if row["index"] == 0:
                student = _student("first")
                w, z = (meta.stages[1](m(_PIXELS)) for m in (teacher.stages[0], student))
            else:
                student = _student("last")
                w, z = (m(meta.stages[0](_PIXELS)) for m in (teacher.stages[1], student))
            self.assert_golden(w, f"G3 m2mKD loss|idx{row['index']} teacher logits")
            self.assert_golden(z, f"G3 m2mKD loss|idx{row['index']} student logits")
            loss, ce, kd = losses.combined(z, targets, w.detach(), row["teacher_share"], row["temperature"], "numel")
            self.assert_close(ce, row["cross_entropy"])
            self.assert_close(kd, row["distillation"])
            self.assert_close(loss, row["total"])
            loss.backward()
            norm = sum((p.grad**2).sum() for p in student.parameters()).sqrt()
            self.assert_close(norm, row["gradient_norm"])

    def test_losses(self):
        golden = self.recipes["cross_entropy"]
        z = torch.tensor(golden["logits"])
        self.assert_close(losses.soft_cross_entropy(z, torch.tensor(golden["targets"])), golden["soft"])
        smoothed = losses.smoothed_cross_entropy(z, torch.tensor(golden["labels"]), golden["smoothing"])
        self.assert_close(smoothed, golden["smoothed"])
        golden = self.recipes["distillation"]
        z, w = torch.tensor(golden["student"]), torch.tensor(golden["teacher"])
        self.assert_close(losses.hard_distillation(z, w), golden["hard"])
        for row in golden["soft"]:
            got = losses.distillation(z, w, row["temperature"], "numel")
            self.assert_close(got, row["per_element"])
            self.assert_close(losses.distillation(z, w, row["temperature"], "batch_mean"), 3 * got)

    def test_gates(self):
        for row in self.recipes["gate"]:
            weights = routers.top_k(torch.tensor([row["logits"]], dtype=torch.float32), 2)[0]
            self.assert_close(weights[row["experts"]], row["weights"])

    def test_original_router(self):
        clean = torch.tensor([[2, 1, 0], [.5, .4, .3], [-1, 2, 0], [1, 1.5, 1.2]])
        noise = torch.tensor([[.1, -.2, .05], [.3, -.1, .2], [0, .1, -.3], [-.2, .1, .4]]) / 3
        _, importance, load = routers.vmoe(clean, 2, 8, noise, 1 / 3)
        self.assert_close(importance, 0.0987514)
        self.assert_close(load, 0.0885879)
        _, balance = routers.gshard(clean, 8)
        self.assert_close(balance, 1.1923375)
        self.assertEqual(routers.vmoe_capacity(1576, 8, 2, 1.05), 416)
        # With two places an expert, those of expert 1 go to tokens that put it first.
        weights, _, _ = routers.vmoe(clean, 2, 2)
        self.assertEqual((weights > 0).sum(1).tolist(), [1, 1, 2, 2])
        gates = torch.tensor([[.6, .4], [.9, .1], [.7, .3], [.8, .2]])
        for priority, kept in ((False, [0, 1]), (True, [1, 3])):
            weights, _, _ = routers.vmoe(torch.log(gates), 1, 2, priority=priority)
            self.assertEqual(torch.nonzero(weights[:, 0])[:, 0].tolist(), kept)


class NacGoldenTest(GoldenTest):
    signatures = torch.tensor([[1, 0, 0, 0], [.8, .6, 0, 0], [0, 1, 0, 0], [-1, .2, 0, .5], [.1, .2, .9, .3]])

    def test_blocks(self):
        codes = wave(5, 4, frequency=0.9)
        layer = fill(nac.ModFC(3, 2, 4), 0.3)
        layer.scale_gain.data.fill_(0.1)
        self.assert_golden(layer.scale(codes), "N1 ModFC in3 out2 ctx4|scale raw")
        self.assert_golden(layer.factors(codes), "N1 ModFC in3 out2 ctx4|scale vec")
        self.assert_golden(layer(wave(2, 5, 3, frequency=0.4), codes), "N1 ModFC in3 out2 ctx4|out")
        self.assert_golden(nac.Geglu()(wave(2, 6, frequency=0.5)), "N1 ModFC in3 out2 ctx4|GEGLU")
        read_in = fill(nac.ReadInAttention(6, 8, 4, 2, 3), 0.3)
        out = read_in(wave(2, 5, 8, frequency=0.2), codes, wave(2, 7, 6, frequency=0.15))
        self.assert_golden(out, "N2 ReadInAttention input6 state8 code4 heads2 hd3|out")
        ffn = fill(nac.ModFFN(8, 4, 1.5), 0.3)
        self.assert_golden(ffn(wave(2, 3, 8, frequency=0.2), codes[:3]), "N5 ModFFN|out")

    def test_kernel(self):
        s = self.signatures
        kernel = nac.Kernel(0.9)
        self.assert_golden(kernel.distances(s, s), "N3 kernel|distance")
        self.assert_golden(kernel(s[:2], s), "N3 kernel|log kernel eval normalized rows")

    def test_latent_attention(self):
        attention = fill(nac.LatentAttention(8, 4, 2, 3, "truncated", shared_norm=True, residual=True), 0.3)
        attention.kernel.bandwidth.data.fill_(1.0)
        out = attention(wave(2, 3, 8, frequency=0.2), wave(3, 4, frequency=0.9), wave(2, 5, 8, frequency=0.25),
                        wave(5, 4, frequency=0.6), self.signatures[:3], self.signatures)
        self.assert_golden(out, "N4 KernelModulatedLatentAttention state8 code4 heads2 hd3, share_ln, eval|out")

    def test_whole_network(self):
        model = nac.Nac(dict(image=16, state=16, code=16, signature=4, input_latents=2, mediator_latents=3,
                             output_latents=2, layers=2, heads=2, head_dim=8, capacity=1, depths=[1, 1], grid=4,
                             classes=5, state_noise=False))
        self.assertEqual(len(list(model.parameters())), 156)
        fill(model, 0.3)
        for name, parameter in model.named_parameters():
            if name.endswith("bandwidth"):
                parameter.data.fill_(1.0)
        parts = model.parts(wave(2, 3, 16, 16, frequency=0.05))
        names = {"tokens": "tokenized_inputs", "inputs": "input_states", "mediators": "mediator_states",
                 "outputs": "output_states", "logits": "outputs"}
        for name, golden in names.items():
            self.assert_golden(parts[name], "N6 full NAC|" + golden)


def _count(module):
    return sum(p.numel() for p in module.parameters())


class ParameterCountTest(unittest.TestCase):
    """Published sizes, where the network is small enough to be made in a test."""

    tiny = dict(state=384, code=384, signature=64, input_latents=64, mediator_latents=256, output_latents=64, layers=8,
                heads=6, head_dim=64, capacity=2, depths=[3, 3], grid=64)
    imagenet = dict(tiny, state=512, code=512, input_latents=192, mediator_latents=768, heads=8, capacity=1)

    def test_nac(self):
        self.assertEqual(_count(nac.Nac(dict(self.tiny, image=64, classes=200))), 26703342)
        self.assertEqual(_count(nac.Nac(dict(self.imagenet, image=224, classes=1000))), 37589294)

    def test_nac_students(self):
        for config, sizes in ((self.tiny, (4093286, 3496070, 3389423)), (self.imagenet, (5898246, 4725510, 4583407))):
            config = dict(config, image=224, classes=1000)
            students = (nac.ReadInStudent, nac.MediatorStudent, nac.ReadOutStudent)
            self.assertEqual(tuple(_count(student(config, 1280)) for student in students), sizes)

    def test_vit_and_mixture(self):
        large = dict(image=224, patch=16, dim=1024, heads=16, classes=1000)
        self.assertEqual(_count(vit.Chain(large, [1] * 4)), 52402152)
        base = dict(image=224, patch=16, dim=768, heads=12, classes=1000)
        stitches = dict(moe=range(3), experts=8, stitch=1024)
        self.assertEqual(_count(vit.Chain(base, [3], "first", post=[2], **stitches)), 121984792)


if __name__ == "__main__":
    unittest.main()
