#!/usr/bin/env python3
"""Compares bundles of module distillations with the same modules one by one, in the real distill-trainer.

Alternating pairs of runs of one compute thread each. Time is what the trainer reports of its members, from reading the
data to the end of training: of a bundle the longest, of single runs the sum. Prints one flat JSON object with the
ratios: distill_bundle_speedup_4 and _10 on images in memory, without augmentation.

  bundle_bench.py build/release --pairs 5
"""
import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lease_sets import Job, PreparedJob, Trainer, write_idx  # noqa: E402


def dataset(path, images):
    return {"path": str(path), "format": "DATASET_FORMAT_IDX", "classes": 10, "image_size": 28, "channels": 1, "input_size": 28,
            "train_size": images}


def measure(name, prepared, options, pairs):
    modules, ratios, cpu_ratios = range(prepared.job.modules), [], []
    for pair in range(pairs):
        runs = {}
        # Every other pair starts with the single runs, so that neither gains from going first.
        for which in ("bundle", "single") if pair % 2 == 0 else ("single", "bundle"):
            run = prepared.distil_together if which == "bundle" else prepared.distil_one_by_one
            runs[which] = list(run(modules, **options).values())
        bundle = max(member["wall"] for member in runs["bundle"])
        ratios.append(sum(member["wall"] for member in runs["single"]) / bundle)
        cpu_ratios.append(sum(m["cpu"] for m in runs["single"]) / sum(m["cpu"] for m in runs["bundle"]))
        print(f"{name} pair {pair + 1}/{pairs}: ratio {ratios[-1]:.3f}, of CPU time {cpu_ratios[-1]:.3f}",
              file=sys.stderr)
    result = {name: round(statistics.median(ratios), 3), f"{name}_of_cpu_time": round(statistics.median(cpu_ratios), 3)}
    if pairs > 1:
        low, _, high = statistics.quantiles(ratios, n=4)
        result.update({f"{name}_quartile1": round(low, 3), f"{name}_quartile3": round(high, 3)})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with bin/distill-trainer")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs per size")
    parser.add_argument("--steps", type=int, default=100, help="steps of each run")
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()

    result = {}
    with tempfile.TemporaryDirectory() as directory:
        images = Path(directory) / "images"
        write_idx(images, 4096)
        for modules in (4, 10):
            trainer = Trainer(arguments.build, Path(directory) / f"of-{modules}")
            prepared = PreparedJob(Job(modules, dataset(images, 4096)), trainer)
            options = {"batch": arguments.batch, "images": arguments.steps * arguments.batch}
            result.update(measure(f"distill_bundle_speedup_{modules}", prepared, options, arguments.pairs))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
