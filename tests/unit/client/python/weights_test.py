"""Weight files, good and damaged; names; descriptions of networks; frames."""

import json
import os
import struct
import tempfile
import unittest

import numpy

from distillery import Weights, architecture, frames, safetensors
from distillery.errors import WeightsError
from distillery.v1 import job_service_pb2, report_pb2, task_pb2

_VIT = {"format": architecture.FORMAT, "image_size": 8, "channels": 1, "patch_size": 4, "classes": 3,
        "vit": {"embed_dim": 4, "heads": 2, "stage_depths": [1, 2]}}


def _file(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


class SafetensorsTest(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        tensors = {"b.weight": numpy.arange(6, dtype="f4").reshape(2, 3), "a": numpy.float64(2.5), "none": numpy.zeros((0, 2), "f4"),
                   "flags": numpy.array([True, False]), "n": numpy.array([-1], dtype="i8")}
        got, metadata = safetensors.load(safetensors.dump(tensors, {"k": "v"}))
        self.assertEqual(metadata, {"k": "v"})
        self.assertEqual(set(got), set(tensors))
        for name, tensor in tensors.items():
            numpy.testing.assert_array_equal(got[name], tensor)
            self.assertEqual((got[name].dtype, got[name].shape), (tensor.dtype, tensor.shape))

    def test_tensors_of_a_bytearray_can_be_written_to(self):
        got, _ = safetensors.load(bytearray(safetensors.dump({"a": numpy.zeros(2, "f4")})))
        got["a"][0] = 1

    def test_bfloat16_becomes_float32(self):
        got, _ = safetensors.load(_file({"a": _entry("BF16", [2], [0, 4])}, bytes.fromhex("803f20c0")))
        numpy.testing.assert_array_equal(got["a"], numpy.array([1.0, -2.5], "f4"))

    def test_damaged_files(self):
        good = _file({"a": _entry()}, b"1234")
        cases = {"shorter than its length": good[:7], "goes beyond its end": good[:20], "not JSON": _file(b"{"),
                 "not JSON ": _file(b"\xff"), "no object": _file([1]), "metadata": _file({"__metadata__": {"a": 1}}),
                 "beyond its end": good[:-1], "follow the last": good + b"x",
                 "gaps": _file({"a": _entry(offsets=(4, 8))}, b"12345678"),
                 "overlap": _file({"a": _entry(), "b": _entry()}, b"1234"),
                 "disagree": _file({"a": _entry(shape=(2,))}, b"1234"), "unknown type": _file({"a": _entry("F8")}, b"1234"),
                 "not understood": _file({"a": 3}), "understood": _file({"a": _entry(shape=(-1,))}, b"1234"),
                 "entry": _file({"a": _entry(offsets=(4, 0))}, b"1234"), "of a tensor": _file({"a": _entry(shape=("1",))}, b""),
                 "header": struct.pack("<Q", 2**63) + b"x"}
        for part, data in cases.items():
            with self.subTest(part):
                self.assertRaisesRegex(WeightsError, part.strip(), safetensors.load, data)


class WeightsTest(unittest.TestCase):
    def _weights(self):
        names = ["cls_token", "pos_embed", "stages.0.patch_embed.proj.weight", "stages.0.blocks.0.norm1.weight",
                 "stages.1.blocks.1.attn.qkv.bias", "stages.1.head.bias"]
        return Weights({n: numpy.full(1, i, "f4") for i, n in enumerate(names)},
                       architecture.parse_architecture(json.dumps(_VIT)))

    def test_names(self):
        weights = self._weights()
        flat = weights.state_dict("flat")
        self.assertEqual(set(flat), {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.norm1.weight",
                                     "blocks.2.attn.qkv.bias", "head.bias"})
        self.assertEqual(set(weights.state_dict("reference")), set(flat) | set(weights.tensors))
        self.assertEqual(weights.state_dict(), weights.tensors)
        self.assertRaisesRegex(ValueError, "names must be", weights.state_dict, "timm")

    def test_exported_names_are_read(self):
        weights = self._weights()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "w.safetensors")
            for names in ("flat", "reference"):
                Weights(weights.state_dict(names), weights.architecture).save(path)
                self.assertEqual(Weights.load(path).tensors, weights.tensors)

    def test_save_and_load(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "w.safetensors")
            self._weights().save(path)
            again = Weights.load(path)
            self.assertEqual(again.architecture, self._weights().architecture)
            self.assertEqual(set(again.tensors), set(self._weights().tensors))
            with open(path, "wb") as file:
                file.write(safetensors.dump({"a": numpy.zeros(1)}))
            self.assertRaisesRegex(WeightsError, "give architecture=", Weights.load, path)
            self.assertEqual(Weights.load(path, json.dumps(_VIT)).architecture.modules, 2)


class ArchitectureTest(unittest.TestCase):
    def _parse(self, **changed):
        return architecture.parse_architecture(json.dumps({**_VIT, **changed}))

    def test_defaults_are_filled_in(self):
        made = self._parse()
        self.assertEqual((made.modules, made.vit.depth, made.vit.mlp_ratio, made.vit.qkv_bias), (2, 3, 4.0, True))
        made = self._parse(vit={"preset": "vit_huge_patch14_224", "stage_depths": [16, 16]})
        self.assertEqual((made.vit.embed_dim, made.vit.qkv_bias, made.vit.layer_norm_epsilon), (1280, False, 1e-5))
        moe = {"experts": 4, "backbone": {"embed_dim": 4, "heads": 1, "stage_depths": [4, 3]}}
        changed = {k: v for k, v in _VIT.items() if k != "vit"}
        for placement, blocks in (("all", range(7)), ("every_2", [1, 3, 5]), ("last_2", [3, 5])):
            made = architecture.parse_architecture(json.dumps({**changed, "vmoe": {**moe, "moe_placement": placement}}))
            self.assertEqual((list(made.vmoe.moe_blocks), made.vmoe.top_k), (list(blocks), 2))
        made = architecture.parse_architecture(json.dumps({**changed, "modules": 3, "nac": {"state_dim": 32}}))
        self.assertEqual((made.nac.code_dim, list(made.nac.tokenizer_depths)), (32, [1, 1]))

    def test_what_cannot_be_built(self):
        for changed, complaint in ((dict(format="x"), "format must be"), (dict(patch_size=3), "must divide image_size"),
                                   (dict(modules=3), "number of stage_depths"), (dict(module_index=2), "must be 0 to 1"),
                                   (dict(vit={"embed_dim": 4, "heads": 3, "stage_depths": [1]}), "heads must divide"),
                                   (dict(vit={"embed_dim": 4, "heads": 2}), "stage_depths are missing"),
                                   (dict(vit={"preset": "resnet"}), "preset is unknown"), (dict(colour=1), "cannot read")):
            with self.subTest(complaint):
                self.assertRaisesRegex(WeightsError, complaint, self._parse, **changed)

    def test_outputs_of_tasks(self):
        spec = task_pb2.TaskSpec(kind=task_pb2.TASK_KIND_SPLIT_TEACHER, modules=2, patch_size=4)
        spec.dataset.image_size, spec.dataset.channels, spec.dataset.classes = 8, 1, 3
        spec.teacher.embed_dim, spec.teacher.heads, spec.teacher.depth = 4, 2, 4
        made = architecture.architecture_of_output(spec, "stage.1")
        self.assertEqual((made.module_index, list(made.vit.stage_depths)), (1, [2, 2]))
        self.assertIsNone(architecture.architecture_of_output(spec, "model"))
        spec.kind = task_pb2.TASK_KIND_DISTILL_MODULE
        spec.student.vmoe.experts = 2
        spec.student.vmoe.backbone.CopyFrom(spec.teacher)
        spec.meta.embed_dim = 6
        self.assertEqual(architecture.architecture_of_output(spec, "module").stitch_width, 6)
        spec.kind = task_pb2.TASK_KIND_FINETUNE_STUDENT
        self.assertEqual(architecture.architecture_of_output(spec, "model").stitch_width, 0)
        spec.kind = task_pb2.TASK_KIND_EVALUATE
        self.assertIsNone(architecture.architecture_of_output(spec, "metrics"))


class FramesTest(unittest.TestCase):
    def test_curves(self):
        series = report_pb2.Series()
        series.points.add(step=1, loss=2.0).terms.add(name="router_balance", value=0.5, weight=0.01)
        series.points.add(step=2, loss=1.0)
        frame = frames.series_frame([("a", series), ("b", report_pb2.Series())])
        self.assertEqual(list(frame.loc["a"]["loss"]), [2.0, 1.0])
        self.assertEqual(frame.loc[("a", 1), "router_balance_weight"], 0.01)
        self.assertEqual(len(frames.series_frame([])), 0)

    def test_models(self):
        report = report_pb2.Report()
        self.assertEqual(len(frames.models_frame(report)), 0)
        self.assertEqual(len(frames.corruptions_frame(report)), 0)
        student = report.models.add(label="student", state="SUCCEEDED")
        student.result.accuracy, student.result.images = 0.5, 10
        student.result.corruptions.add(name="contrast", severity=3, accuracy=0.25)
        student.result.out_of_distribution.add(name="sketch", accuracy=0.1)
        report.models.add(label="teacher")
        report.phases.add(label="distill modules", tasks=4)
        frame = frames.models_frame(report)
        self.assertEqual((frame.loc["student", "accuracy"], frame.loc["student", "ood sketch"]), (0.5, 0.1))
        self.assertTrue(numpy.isnan(frame.loc["teacher", "accuracy"]))
        self.assertEqual(frames.corruptions_frame(report).loc["student", ("contrast", 3)], 0.25)
        self.assertEqual(frames.phases_frame(report).loc["distill modules", "tasks"], 4)

    def test_plans(self):
        plan = job_service_pb2.JobPlan()
        self.assertEqual(len(frames.plan_frame(plan)), 0)
        plan.tasks.add(id="pretrain-meta", execution=job_service_pb2.PLANNED_EXECUTION_REUSES, equal_task="job-1/pretrain-meta")
        plan.tasks.add(id="t", execution=job_service_pb2.PLANNED_EXECUTION_RUNS, predicted_seconds=2.5)
        frame = frames.plan_frame(plan)
        self.assertEqual(list(frame["execution"]), ["reuses", "runs"])
        self.assertEqual(frame.loc["t", "predicted_seconds"], 2.5)
        self.assertTrue(numpy.isnan(frame.loc["pretrain-meta", "predicted_seconds"]))


if __name__ == "__main__":
    unittest.main()
