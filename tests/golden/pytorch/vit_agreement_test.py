"""The trainer beside PyTorch: whole ViTs and V-MoEs, and every module of them in its hybrid."""

import torch

import losses
import routers
import vit
from trainer import Hybrid, TrainerTest, distillation_loss, main, random, randomize

_IMAGE = dict(image=12, patch=4, channels=2, classes=5)
_DESCRIBED = dict(image_size=12, patch_size=4, channels=2, classes=5)
_BATCH, _TOKENS = 3, 10


def _pixels():
    return random(1, _BATCH, 2, 12, 12)


def _distilled():
    return {"input": _pixels(), "targets": torch.softmax(random(2, _BATCH, 5), 1),
            "teacher_logits": 2 * random(3, _BATCH, 5)}


def _double(model, seed, scale=0.3):
    return randomize(model.double(), seed, scale)


class WholeModelTest(TrainerTest):
    def _stage_outputs(self, model):
        outputs = {}
        for s, stage in enumerate(model.stages):
            stage.register_forward_hook(lambda _, __, out, s=s: outputs.__setitem__(f"stage.{s}", out))
        return lambda: outputs

    def test_vit(self):
        model = _double(vit.Chain(dict(_IMAGE, dim=16, heads=2), [1, 2, 1]), 5)
        options, loss = distillation_loss(0.7, 2.0, "batch_mean")
        self.assert_agrees(dict(_DESCRIBED, vit=dict(embed_dim=16, heads=2, stage_depths=[1, 2, 1])), model,
                           model.names(), _distilled(), options, outputs=self._stage_outputs(model), loss=loss)

    # As the ViT-H of the published checkpoints, but for its size.
    def test_vit_without_qkv_bias(self):
        config = dict(_IMAGE, dim=20, heads=4, mlp_ratio=2, qkv_bias=False, eps=1e-5)
        described = dict(embed_dim=20, heads=4, mlp_ratio=2, qkv_bias=False, layer_norm_epsilon=1e-5,
                         stage_depths=[2, 1])
        model = _double(vit.Chain(config, [2, 1]), 6)
        options, loss = distillation_loss(0.3, 1.0, "numel")
        self.assert_agrees(dict(_DESCRIBED, vit=described), model, model.names(), _distilled(), options, loss=loss)

    def test_labels_with_smoothing(self):
        model = _double(vit.Chain(dict(_IMAGE, dim=8, heads=1), [1, 1]), 7)
        labels = torch.tensor([4, 0, 2])
        self.assert_agrees(dict(_DESCRIBED, vit=dict(embed_dim=8, heads=1, stage_depths=[1, 1])), model,
                           model.names(), {"input": _pixels(), "targets": labels}, ["--label-smoothing", "0.1"],
                           loss=lambda z, data: losses.smoothed_cross_entropy(z, data["targets"], 0.1))

    def test_mixture_of_experts(self):
        for top_k in (1, 2, 3):
            with self.subTest(top_k=top_k):
                config = dict(_IMAGE, dim=12, heads=3, mlp_ratio=2, top_k=top_k)
                model = _double(vit.Chain(config, [2, 1], moe=[0, 2], experts=4), 8)
                described = dict(backbone=dict(embed_dim=12, heads=3, mlp_ratio=2, stage_depths=[2, 1]), experts=4,
                                 top_k=top_k, moe_blocks=[0, 2])
                self.assert_agrees(dict(_DESCRIBED, vmoe=described), model, model.names(),
                                   {"input": _pixels(), "output_gradient": random(9, _BATCH, 5)})

    # Kept stitches: every module boundary goes through the meta model's width.
    def test_mixture_of_experts_with_stitches(self):
        config = dict(_IMAGE, dim=12, heads=3, mlp_ratio=2)
        model = _double(vit.Chain(config, [2, 1], moe=range(3), experts=3, pre=[2], post=[1], stitch=16), 10)
        described = dict(backbone=dict(embed_dim=12, heads=3, mlp_ratio=2, stage_depths=[2, 1]), experts=3)
        self.assert_agrees(dict(_DESCRIBED, vmoe=described, stitch_width=16), model, model.names(),
                           {"input": _pixels(), "output_gradient": random(11, _BATCH, 5)})


class RouterTest(TrainerTest):
    """Evaluation: no noise, but capacities so tight that experts turn tokens away."""

    tokens = _BATCH * _TOKENS
    experts = 3

    def _check(self, kind, route, top_k=2, gate="bias", **settings):
        config = dict(_IMAGE, dim=12, heads=3, mlp_ratio=2, route=route, gate=gate)
        model = _double(vit.Chain(config, [1, 1], moe=[0, 1], experts=self.experts), 18)
        described = dict(backbone=dict(embed_dim=12, heads=3, mlp_ratio=2, stage_depths=[1, 1]), experts=self.experts,
                         top_k=top_k, router=dict(kind="ROUTER_KIND_" + kind, **settings))
        self.assert_agrees(dict(_DESCRIBED, vmoe=described), model, model.names(),
                           {"input": _pixels(), "output_gradient": random(19, _BATCH, 5)})

    def _grouped(self, route, images):
        """`route` over the tokens of so many images at a time."""
        return lambda logits: torch.cat([route(group) for group in logits.split(images * _TOKENS)])

    def test_gshard(self):
        capacity = routers.gshard_capacity(self.tokens, self.experts, 0.7)
        self._check("GSHARD", lambda logits: routers.gshard(logits, capacity)[0], evaluation_capacity_factor=0.7)

    def test_switch(self):
        capacity = routers.switch_capacity(self.tokens, self.experts, 0.8)
        self._check("SWITCH", lambda logits: routers.switch(logits, capacity)[0], top_k=1,
                    evaluation_capacity_factor=0.8)

    def test_noisy_top_k(self):
        self._check("NOISY_TOP_K", lambda logits: routers.top_k(logits, 2), gate="noisy")

    def test_vmoe(self):
        for priority in (False, True):
            with self.subTest(priority=priority):
                def route(logits, priority=priority):
                    capacity = routers.vmoe_capacity(logits.shape[0], self.experts, 2, 0.6)
                    return routers.vmoe(logits, 2, capacity, priority=priority)[0]
                self._check("VMOE", self._grouped(route, 2), gate="no_bias", evaluation_capacity_factor=0.6,
                            batch_priority=priority, group_images=2)

    def test_expert_choice(self):
        def route(logits):
            capacity = routers.vmoe_capacity(logits.shape[0], self.experts, 2, 0.6)
            return routers.expert_choice(logits, capacity)
        self._check("EXPERT_CHOICE", route, gate="no_bias", evaluation_capacity_factor=0.6)


class HybridTest(TrainerTest):
    meta = dict(embed_dim=16, heads=2, stage_depths=[1, 1, 1])
    roles = ("first", "middle", "last")

    def _meta(self):
        return _double(vit.Chain(dict(_IMAGE, dim=16, heads=2), [1, 1, 1]), 12)

    # What meta and module training run: a deep stage of the teacher inside the meta model.
    def test_teacher_modules(self):
        for index, role in enumerate(self.roles):
            with self.subTest(role=role):
                module = _double(vit.Chain(dict(_IMAGE, dim=16, heads=2), [2], role), 13).stages[0]
                hybrid = Hybrid(self._meta(), index, module)
                architecture = dict(_DESCRIBED, vit=dict(self.meta, stage_depths=[2, 2, 2]), module_index=index,
                                    meta=self.meta)
                options, loss = distillation_loss(0.5, 1.0, "batch_mean")
                self.assert_agrees(architecture, hybrid, module.named_parameters(), _distilled(), options,
                                   hybrid.meta_weights(), lambda: hybrid.outputs, loss)

    def test_mixture_of_experts_students(self):
        for index, role in enumerate(self.roles):
            for divisor in ("batch_mean", "numel"):
                with self.subTest(role=role, divisor=divisor):
                    config = dict(_IMAGE, dim=12, heads=3, mlp_ratio=2)
                    stitches = dict(pre=[] if index == 0 else [0], post=[] if index == 2 else [1], stitch=16)
                    student = _double(vit.Chain(config, [2], role, moe=[0, 1], experts=3, **stitches), 14).stages[0]
                    hybrid = Hybrid(self._meta(), index, student)
                    described = dict(backbone=dict(embed_dim=12, heads=3, mlp_ratio=2, stage_depths=[2, 2, 2]),
                                     experts=3)
                    architecture = dict(_DESCRIBED, vmoe=described, module_index=index, stitch_width=16,
                                        meta=self.meta)
                    options, loss = distillation_loss(0.6, 3.0, divisor)
                    self.assert_agrees(architecture, hybrid, student.named_parameters(), _distilled(), options,
                                       hybrid.meta_weights(), lambda: hybrid.outputs, loss)

    # A module without its hybrid takes and gives tokens.
    def test_module_alone(self):
        config = dict(_IMAGE, dim=12, heads=3, mlp_ratio=2)
        module = _double(vit.Chain(config, [2], "middle", moe=[1], experts=3, pre=[0], post=[1], stitch=16), 15)
        described = dict(backbone=dict(embed_dim=12, heads=3, mlp_ratio=2, stage_depths=[2, 2, 2]), experts=3,
                         moe_blocks=[1, 3, 5])
        self.assert_agrees(dict(_DESCRIBED, vmoe=described, module_index=1, stitch_width=16), module,
                           module.stages[0].named_parameters(),
                           {"input": random(16, _BATCH, _TOKENS, 16),
                            "output_gradient": random(17, _BATCH, _TOKENS, 16)})


if __name__ == "__main__":
    main()
