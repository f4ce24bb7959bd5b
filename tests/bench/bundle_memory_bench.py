#!/usr/bin/env python3
"""Measures the memory of a bundle of four module distillations, and the bound that it is held to.

The bound: the process alone, the frozen meta model, 4 x (module + optimiser + teacher stage), and 1.25 x the activations
of one. The process alone is a trainer that distils a tiny module; the activations are what the largest of the four needs
beyond all that when it is trained on its own. Prints one flat JSON object and exits with 1 if the bound is broken.

  bundle_memory_bench.py build/release
"""
import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lease_sets import Job, PreparedJob, Trainer, vit, write_idx  # noqa: E402

MODULES, WIDTH = 4, 192
# A trained number, its gradient and AdamW's two moments.
FLOATS_PER_TRAINED = 4


def student(width):
    return {"vmoe": {"backbone": vit(width, 4, [1] * MODULES), "experts": 4, "top_k": 2,
                     "moe_blocks": list(range(MODULES)), "expert_init": "EXPERT_INIT_PER_MATRIX"}}


def megabytes(path):
    return Path(path).stat().st_size / (1 << 20)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with bin/distill-trainer")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_idx(folder / "images", 1024)
        dataset = {"path": str(folder / "images"), "format": "DATASET_FORMAT_IDX", "classes": 10, "image_size": 28,
                   "channels": 1, "input_size": 28, "train_size": 1024}
        tiny = PreparedJob(Job(MODULES, dataset, student(8), width=8, heads=1, teacher_blocks=1, patch=14),
                           Trainer(arguments.build, folder / "tiny"))
        options = {"batch": 2, "images": 2 * arguments.steps}
        base = tiny.distil_one_by_one([3], **options)["module-3"]["peak_megabytes"]

        job = PreparedJob(Job(MODULES, dataset, student(WIDTH), width=WIDTH, heads=4, patch=4),
                          Trainer(arguments.build, folder / "job"))
        options = {"batch": arguments.batch, "images": arguments.batch * arguments.steps}
        alone = job.distil_one_by_one(range(MODULES), **options)
        together = job.distil_together(range(MODULES), **options)

        own = [FLOATS_PER_TRAINED * megabytes(alone[f"module-{i}"]["folder"] / "module.safetensors") +
               megabytes(job.stages[i]) for i in range(MODULES)]
        meta = megabytes(job.meta)
        activations = max(alone[f"module-{i}"]["peak_megabytes"] - base - meta - own[i] for i in range(MODULES))
    peak = max(member["peak_megabytes"] for member in together.values())
    bound = base + meta + sum(own) + 1.25 * activations
    print(json.dumps({
        "bundle_of_four_peak_megabytes": peak, "bundle_of_four_bound_megabytes": round(bound, 1),
        "bundle_of_four_activations_of_one_megabytes": round(activations, 1),
        "bundle_of_four_own_state_megabytes": round(sum(own), 1), "trainer_base_megabytes": base}))
    return 0 if peak <= bound else 1


if __name__ == "__main__":
    sys.exit(main())
