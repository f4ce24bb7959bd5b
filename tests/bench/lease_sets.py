"""Tasks for benchmarks and measurements that drive distill-trainer by hand: specs as JSON, prepared inputs, runs.

A LeaseSets makes the meta model and the teacher stages of one small job once (a step of training each: what they say
does not matter for time or memory) and then runs any set of tasks in one trainer process.
"""
import json
import os
import re
import struct
import subprocess
from pathlib import Path

MEMBER = re.compile(r"^(\S+): ENDED_SUCCEEDED wall ([\d.]+) s, cpu ([\d.]+) s, peak (\d+) MB", re.MULTILINE)
RESULT = re.compile(r"^(\S+): \S+ \S+ (sha256:[0-9a-f]{64})$", re.MULTILINE)


def write_idx(directory, images, size=28):
    """Writes `images` training and 64 test images of fixed noise in the format of Fashion-MNIST."""
    directory.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", images), ("t10k", 64)):
        pixels = bytes((i * 2654435761 >> 13) & 0xff for i in range(count * size * size))
        (directory / f"{stem}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, size, size) + pixels)
        (directory / f"{stem}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count)))


def vit(width, heads, depths):
    return {"embed_dim": width, "heads": heads, "mlp_ratio": 4.0, "qkv_bias": True, "layer_norm_epsilon": 1e-6,
            "depth": sum(depths), "stage_depths": depths}


def recipe(batch, images, **changes):
    return {"batch_size": batch, "accumulate_steps": 1, "learning_rate": 1e-3, "warmup_learning_rate": 1e-6,
            "min_learning_rate": 1e-5, "schedule_unit": "SCHEDULE_UNIT_STEP", "weight_decay": 0.05, "beta1": 0.9,
            "beta2": 0.999, "epsilon": 1e-8, "label_smoothing": 0.1, "sampler": "SAMPLER_KIND_COUNTER",
            "total_images": images, **changes}


class Job:
    """The shape of a job; `student` is a StudentSpec as JSON."""

    def __init__(self, modules, dataset, student=None, width=64, heads=4, teacher_blocks=2, patch=7):
        self.modules, self.dataset, self.patch = modules, dataset, patch
        self.meta = vit(width, heads, [1] * modules)
        self.teacher = vit(width, heads, [teacher_blocks] * modules)
        self.student = student or {"vmoe": {
            "backbone": vit(48, 4, [1] * modules), "experts": 4, "top_k": 2, "moe_blocks": list(range(modules)),
            "expert_init": "EXPERT_INIT_PER_MATRIX"}}

    def task(self, kind, module=0, batch=64, images=64, **changes):
        return {"kind": kind, "module_index": module, "modules": self.modules, "patch_size": self.patch, "seed": 1,
                "dataset": self.dataset, "meta": self.meta, "teacher": self.teacher, "student": self.student,
                "recipe": recipe(batch, images, **changes),
                "distillation": {"kind": "KD_KIND_SOFT", "alpha": 0.5, "tau": 1.0, "divisor": "KD_DIVISOR_NUMEL"}}


class Trainer:
    """Runs lease sets with build/bin/distill-trainer, in folders under `directory`."""

    def __init__(self, build, directory, threads=1):
        self.program = str(Path(build) / "bin" / "distill-trainer")
        self.directory, self.environment = Path(directory), dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.runs = 0

    def run(self, members):
        """Runs {name: (spec, inputs)} as one lease set.

        Returns {name: {folder, wall, cpu, peak_megabytes, results}}; the last are the digests of what the member made.
        """
        self.runs += 1
        folder = self.directory / f"run-{self.runs}"
        folder.mkdir(parents=True)
        lease_set = {"members": [
            {"member": name, "spec": spec, "input_paths": inputs, "output_directory": str(folder / name)}
            for name, (spec, inputs) in members.items()]}
        (folder / "set.json").write_text(json.dumps(lease_set), encoding="ascii")
        run = subprocess.run([self.program, "run", "--lease-set", str(folder / "set.json")], env=self.environment,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        ended = {name: {"folder": folder / name, "wall": float(wall), "cpu": float(cpu), "peak_megabytes": int(peak)}
                 for name, wall, cpu, peak in MEMBER.findall(run.stdout)}
        for member in ended.values():
            member["results"] = []
        for name, digest in RESULT.findall(run.stdout):
            ended[name]["results"].append(digest)
        if run.returncode != 0 or set(ended) != set(members):
            raise RuntimeError(f"distill-trainer failed with {run.returncode}: {run.stdout[-3000:]}")
        return ended


class PreparedJob:
    """A job with its meta model and teacher stages."""

    def __init__(self, job, trainer):
        self.job, self.trainer = job, trainer
        ended = trainer.run({"meta": (job.task("TASK_KIND_PRETRAIN_META"), {})})
        self.meta = str(ended["meta"]["folder"] / "model.safetensors")
        ended = trainer.run({f"stage-{i}": (job.task("TASK_KIND_INCUBATE_TEACHER", i), {"meta": self.meta})
                             for i in range(job.modules)})
        self.stages = [str(ended[f"stage-{i}"]["folder"] / "stage.safetensors") for i in range(job.modules)]

    def distillation(self, module, **options):
        spec = self.job.task("TASK_KIND_DISTILL_MODULE", module, **options)
        return spec, {"meta": self.meta, "teacher_stage": self.stages[module]}

    def distil_together(self, modules, **options):
        return self.trainer.run({f"module-{i}": self.distillation(i, **options) for i in modules})

    def distil_one_by_one(self, modules, **options):
        ended = {}
        for i in modules:
            ended.update(self.trainer.run({f"module-{i}": self.distillation(i, **options)}))
        return ended
