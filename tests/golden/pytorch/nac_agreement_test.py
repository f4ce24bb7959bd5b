"""The trainer beside PyTorch: whole NACs, and every module of them in its hybrid."""

import torch

import nac
import vit
from trainer import Hybrid, TrainerTest, distillation_loss, main, random, randomize

_BATCH, _CLASSES = 3, 5
_CONFIG = dict(image=16, channels=2, classes=_CLASSES, state=16, code=12, signature=6, input_latents=3,
               mediator_latents=5, output_latents=2, heads=2, head_dim=6, capacity=1.5, layers=2, depths=[1, 1],
               stem=4, grid=3, positive=True)
_SPEC = dict(state_dim=16, code_dim=12, signature_dim=6, input_latents=3, mediator_latents=5, output_latents=2, heads=2,
             head_dim=6, ffn_capacity_factor=1.5, tokenizer_depths=[1, 1], tokenizer_stem=4, grid_channels=3)
_DESCRIBED = dict(image_size=16, channels=2, classes=_CLASSES, modules=4)


def _pixels():
    return random(1, _BATCH, 2, 16, 16)


def _distilled():
    return {"input": _pixels(), "targets": torch.softmax(random(2, _BATCH, _CLASSES), 1),
            "teacher_logits": 2 * random(3, _BATCH, _CLASSES)}


class WholeNacTest(TrainerTest):
    def _check(self, seed, spec=(), **config):
        config = dict(_CONFIG, **config)
        model = randomize(nac.Nac(config).double(), seed)
        for name, parameter in model.named_parameters():
            if name.endswith("bandwidth"):
                parameter.data += 0.6  # Wide and narrow kernels, but none that is turned over.
        kept = {}
        model.register_forward_pre_hook(lambda _, inputs: kept.update(
            {k: v for k, v in model.parts(inputs[0]).items() if k != "logits"}))
        traced = {"tokens": "tokens", "inputs": "input_states", "mediators": "mediator_states",
                  "outputs": "output_states"}
        options, loss = distillation_loss(0.4, 2.0, "batch_mean")
        self.assert_agrees(dict(_DESCRIBED, nac=dict(_SPEC, **dict(spec))), model, model.named_parameters(),
                           _distilled(), options, outputs=lambda: {traced[k]: v for k, v in kept.items()}, loss=loss)

    def test_default(self):
        for seed in (21, 22, 23):
            with self.subTest(seed=seed):
                self._check(seed)

    def test_free_bandwidths_and_another_truncation(self):
        self._check(24, dict(reference_bandwidth=True, truncation=1.2), positive=False, truncation=1.2)

    def test_shared_layers(self):
        self._check(25, dict(share_layers=True), shared=True)

    # Tokens of a deeper tokenizer, one head, a narrow feed-forward network.
    def test_other_sizes(self):
        self._check(26, dict(tokenizer_depths=[2, 1, 1], tokenizer_stem=2, heads=1, head_dim=10,
                             ffn_capacity_factor=0.5, grid_channels=1),
                    depths=[2, 1, 1], stem=2, heads=1, head_dim=10, capacity=0.5, grid=1)


class NacModuleTest(TrainerTest):
    meta = dict(embed_dim=8, heads=2, stage_depths=[1, 1, 1, 1])
    students = (nac.ReadInStudent, nac.MediatorStudent, nac.MediatorStudent, nac.ReadOutStudent)

    def _student(self, index, learned):
        student = randomize(self.students[index](dict(_CONFIG, learned_codes=learned), 8).double(), 30 + index)
        for seed, (_, constant) in enumerate(student.named_buffers()):
            constant.copy_(random(40 + seed, *constant.shape))
        return student

    def _check(self, index, learned, divisor):
        student = self._student(index, learned)
        config = dict(image=16, patch=4, channels=2, classes=_CLASSES, dim=8, heads=2)
        hybrid = Hybrid(randomize(vit.Chain(config, [1, 1, 1, 1]).double(), 27), index, student)
        spec = dict(_SPEC, codes="NAC_CODES_LEARNED" if learned else "NAC_CODES_CONSTANT")
        architecture = dict(_DESCRIBED, patch_size=4, nac=spec, module_index=index, stitch_width=8, meta=self.meta)
        options, loss = distillation_loss(0.5, 2.0, divisor)
        self.assert_agrees(architecture, hybrid, student.named_parameters(), _distilled(), options,
                           hybrid.meta_weights(), lambda: hybrid.outputs, loss, list(student.named_buffers()))

    def test_constant_codes(self):
        for index in range(4):
            with self.subTest(index=index):
                self._check(index, False, "numel")

    def test_learned_codes(self):
        for index in (0, 2, 3):
            with self.subTest(index=index):
                self._check(index, True, "batch_mean")

    # A mediator without its hybrid takes and gives tokens.
    def test_module_alone(self):
        student = self._student(1, False)
        architecture = dict(_DESCRIBED, nac=_SPEC, module_index=1, stitch_width=8)
        self.assert_agrees(architecture, student, student.named_parameters(),
                           {"input": random(50, _BATCH, 7, 8), "output_gradient": random(51, _BATCH, 7, 8)},
                           constants=list(student.named_buffers()))


if __name__ == "__main__":
    main()
