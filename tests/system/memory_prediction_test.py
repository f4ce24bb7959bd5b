"""Compares the memory that the planner expects each kind of task to need with what the trainer takes.

Every task runs in a trainer process of its own, so that its peak is its own. Prints a table; the prediction must be within
25 % for each kind, student and size.

  DISTILL_BIN_DIR=build/release/bin python3 tests/system/memory_prediction_test.py
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from product import BIN_DIR, SOURCE_DIR

sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "bench"))
from lease_sets import Job, Trainer, vit, write_idx  # noqa: E402

MODULES, IMAGES, TOLERANCE = 3, 2048, 0.25
_BUILD = Path(BIN_DIR).parent


def _vit_student(width):
    return {"vit": vit(width, 4, [1] * MODULES)}


def _vmoe_student(width):
    return {"vmoe": {"backbone": vit(width, 4, [1] * MODULES), "experts": 4, "top_k": 2,
                     "moe_blocks": list(range(MODULES)), "expert_init": "EXPERT_INIT_PER_MATRIX"}}


def _nac_student(width):
    return {"nac": {"state_dim": width, "code_dim": width // 2, "signature_dim": 16, "input_latents": 16,
                    "mediator_latents": 64, "output_latents": 8, "heads": 2, "head_dim": width // 4,
                    "ffn_capacity_factor": 2.0, "tokenizer_depths": [1, 1], "tokenizer_stem": 2, "grid_channels": width // 4,
                    "prior": {"kind": "GRAPH_PRIOR_KIND_SCALE_FREE", "attachments": 2, "fit_steps": 50}}}


class Chain:
    """The tasks of one job, run one after the other as a job runs them."""

    def __init__(self, job, folder, batch):
        self.job, self.batch, self.trainer = job, batch, Trainer(_BUILD, folder)
        self.rows = []  # (kind, predicted, measured) in MiB

    def run(self, kind, inputs, module=0, **fields):
        spec = {**self.job.task(f"TASK_KIND_{kind}", module, batch=self.batch, images=4 * self.batch), **fields}
        if kind.startswith(("ASSEMBLE", "SPLIT", "EVALUATE", "FIT_PRIOR")):
            del spec["recipe"]
        program = _BUILD / "test_bin" / "predicted_memory"
        predicted = int(subprocess.run([program], input=json.dumps(spec) + "\n", stdout=subprocess.PIPE, text=True,
                                       check=True).stdout)
        ended = self.trainer.run({"task": (spec, inputs)})["task"]
        name = fields["subject"].replace("EVALUATION_SUBJECT_", "EVALUATE ") if "subject" in fields else kind
        self.rows.append((f"{name} {module}" if module else name, predicted >> 20, ended["peak_megabytes"]))
        return ended["folder"]

    def run_all(self):
        modules = range(MODULES)
        meta = {"meta": str(self.run("PRETRAIN_META", {}) / "model.safetensors")}
        stages = [str(self.run("INCUBATE_TEACHER", meta, i) / "stage.safetensors") for i in modules]
        teacher = self.run("ASSEMBLE_TEACHER", {f"stage.{i}": stages[i] for i in modules})
        teacher = self.run("FINETUNE_TEACHER", {"model": str(teacher / "model.safetensors")})
        self.run("SPLIT_TEACHER", {"model": str(teacher / "model.safetensors")})
        distilled = [str(self.run("DISTILL_MODULE", {**meta, "teacher_stage": stages[i]}, i) / "module.safetensors")
                     for i in modules]
        signatures = {}
        if "nac" in self.job.student:
            signatures = {"signatures": str(self.run("FIT_PRIOR", {}) / "signatures.safetensors")}
        student = self.run("ASSEMBLE_STUDENT", {**{f"module.{i}": distilled[i] for i in modules}, **signatures})
        student = self.run("FINETUNE_STUDENT", {"model": str(student / "model.safetensors")})
        self.run("TRAIN_BASELINE", signatures)
        evaluation = {"evaluation": {"batch_size": self.batch}}
        self.run("EVALUATE", {"model": str(student / "model.safetensors")}, subject="EVALUATION_SUBJECT_STUDENT",
                 **evaluation)
        self.run("EVALUATE", {"model": str(teacher / "model.safetensors")}, subject="EVALUATION_SUBJECT_TEACHER",
                 **evaluation)
        self.run("EVALUATE", {**meta, "module": distilled[0]}, subject="EVALUATION_SUBJECT_STUDENT_HYBRID", **evaluation)


class MemoryPredictionTest(unittest.TestCase):
    def test_predictions_are_within_a_quarter(self):
        sizes = {"small": {"width": 64, "patch": 7, "batch": 64}, "large": {"width": 192, "patch": 4, "batch": 128}}
        students = {"vit": _vit_student, "vmoe": _vmoe_student, "nac": _nac_student}
        wrong = []
        with tempfile.TemporaryDirectory() as directory:
            images = Path(directory) / "images"
            write_idx(images, IMAGES)
            dataset = {"path": str(images), "format": "DATASET_FORMAT_IDX", "classes": 10, "image_size": 28,
                       "channels": 1, "input_size": 28, "train_size": IMAGES}
            for size, shape in sizes.items():
                for student, spec_of in students.items():
                    job = Job(MODULES, dataset, spec_of(shape["width"]), shape["width"], patch=shape["patch"])
                    chain = Chain(job, Path(directory) / f"{student}-{size}", shape["batch"])
                    chain.run_all()
                    for kind, predicted, measured in chain.rows:
                        line = (f"{student:5} {size:6} {kind:26} predicted {predicted:5} MiB  measured {measured:5} MiB  "
                                f"{100 * (predicted / measured - 1):+4.0f} %")
                        print(line, flush=True)
                        if abs(predicted / measured - 1) > TOLERANCE:
                            wrong.append(line)
        self.assertEqual(wrong, [], "predictions that are off by more than a quarter")


if __name__ == "__main__":
    unittest.main()
