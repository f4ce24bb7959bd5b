"""The networks of the Python client beside the trainer: every kind of network, module and router in evaluation."""

import json
import os
import sys
import unittest

import torch

import trainer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3, "client", "python", "src"))

from distillery import architecture, networks
from distillery.errors import WeightsError

_IMAGE = dict(image_size=12, patch_size=4, channels=2, classes=5)
_BACKBONE = dict(embed_dim=12, heads=3, mlp_ratio=2, stage_depths=[2, 1])
_MODULES = dict(_BACKBONE, stage_depths=[2, 2, 2])
_NAC = dict(state_dim=16, code_dim=12, signature_dim=6, input_latents=3, mediator_latents=5, output_latents=2, heads=2,
            head_dim=6, ffn_capacity_factor=1.5, tokenizer_depths=[1, 1], tokenizer_stem=4, grid_channels=3)
_NAC_IMAGE = dict(image_size=16, channels=2, classes=5, modules=4)
_PIXELS = trainer.random(1, 3, 2, 12, 12)
_NAC_PIXELS = trainer.random(2, 3, 2, 16, 16)


def _build(described):
    text = json.dumps({"format": architecture.FORMAT, **described})
    return networks.build(architecture.parse_architecture(text)).double().eval()


class ClientNetworksTest(trainer.TrainerTest):
    def _check(self, described, x):
        network = trainer.randomize(_build(described), 3)
        got = trainer.predict(described, network.state_dict(), {"input": x}, ["--dtype", "float64"])
        with torch.no_grad():
            self.assert_close(got.get("logits", got.get("tokens")), network(x), torch.float64, str(described))

    def test_vits(self):
        self._check(dict(_IMAGE, vit=dict(embed_dim=16, heads=2, stage_depths=[1, 2, 1])), _PIXELS)
        self._check(dict(_IMAGE, vit=dict(embed_dim=20, heads=4, mlp_ratio=2, qkv_bias=False, layer_norm_epsilon=1e-5,
                                          stage_depths=[2, 1])), _PIXELS)

    def test_mixtures_and_kept_stitches(self):
        self._check(dict(_IMAGE, vmoe=dict(backbone=_BACKBONE, experts=4, top_k=3, moe_blocks=[0, 2])), _PIXELS)
        self._check(dict(_IMAGE, vmoe=dict(backbone=_BACKBONE, experts=3), stitch_width=16), _PIXELS)

    # Capacities so tight that experts turn tokens away.
    def test_routers(self):
        for kind, top_k, settings in (
                ("GSHARD", 2, dict(evaluation_capacity_factor=0.7)), ("SWITCH", 1, dict(capacity_factor=0.8)),
                ("NOISY_TOP_K", 2, {}), ("NOISY_TOP_K", 2, dict(capacity_factor=0.5)), ("VMOE", 2, {}),
                ("VMOE", 2, dict(evaluation_capacity_factor=0.6, group_images=2)),
                ("VMOE", 2, dict(evaluation_capacity_factor=0.6, group_images=0, batch_priority=True)),
                ("EXPERT_CHOICE", 2, dict(evaluation_capacity_factor=0.6))):
            with self.subTest(kind, **settings):
                router = dict(kind="ROUTER_KIND_" + kind, **settings)
                self._check(dict(_IMAGE, vmoe=dict(backbone=_BACKBONE, experts=3, top_k=top_k, router=router)), _PIXELS)

    def test_modules_of_mixtures(self):
        for index, x in ((0, _PIXELS), (1, trainer.random(4, 3, 10, 16)), (2, trainer.random(5, 3, 10, 16))):
            with self.subTest(index=index):
                vmoe = dict(backbone=_MODULES, experts=3, moe_placement="every_2")
                self._check(dict(_IMAGE, vmoe=vmoe, module_index=index, stitch_width=16), x)

    def test_nacs(self):
        for changed in ({}, dict(reference_bandwidth=True, truncation=1.2), dict(share_layers=True),
                        dict(tokenizer_depths=[2, 1, 1], tokenizer_stem=2, heads=1, head_dim=10, ffn_capacity_factor=0.5,
                             grid_channels=0)):
            with self.subTest(**changed):
                self._check(dict(_NAC_IMAGE, nac=dict(_NAC, **changed)), _NAC_PIXELS)
        self._check(dict(_NAC_IMAGE, nac=_NAC, stitch_width=9), _NAC_PIXELS)

    def test_modules_of_nacs(self):
        for index, x in ((0, _NAC_PIXELS), (1, trainer.random(6, 3, 7, 8)), (3, trainer.random(7, 3, 7, 8))):
            with self.subTest(index=index):
                self._check(dict(_NAC_IMAGE, nac=_NAC, module_index=index, stitch_width=8), x)

    def test_what_draws_random_numbers_is_refused(self):
        with self.assertRaisesRegex(WeightsError, "stochastic_evaluation"):
            _build(dict(_NAC_IMAGE, nac=dict(_NAC, stochastic_evaluation=True)))

    def test_every_parameter_has_a_gradient(self):
        for described, x in ((dict(_IMAGE, vmoe=dict(backbone=_BACKBONE, experts=3)), _PIXELS),
                             (dict(_NAC_IMAGE, nac=_NAC), _NAC_PIXELS)):
            network = trainer.randomize(_build(described), 3).train()
            network(x).sum().backward()
            without = [n for n, p in network.named_parameters() if p.grad is None]
            self.assertEqual([n for n in without if "logvar" not in n], [])


if __name__ == "__main__":
    unittest.main()
