#!/usr/bin/env python3
"""Compares bundles of module distillations with the same modules one by one, in the real distill-trainer.

First the results: every module must have the same bits, bundled or alone. Then the time: alternating pairs of runs of one
compute thread each, and one loader thread beside it as always. Time is what the trainer reports of its members, from
opening the data to the end of training: of a bundle the longest, of single runs the sum. Prints one flat JSON object with
the ratios, their quartiles and those of CPU time, and exits with 1 if bits differ:

  distill_bundle_speedup_4, _10              images in memory, without augmentation
  distill_bundle_speedup_4_jpeg224           JPEG files of 500 by 375 pixels, brought to 224 with the paper's full
                                             augmentation; patches of 32 pixels, so that decoding is most of the work
  distill_bundle_speedup_4_jpeg224_patch16   the same with patches of 16, where the networks are most of it

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
from photographs import write_photographs  # noqa: E402

PATCHES = {"4_jpeg224": 32, "4_jpeg224_patch16": 16}
CASES = ("4", "10", *PATCHES)
PHOTOGRAPHS, CLASSES = 128, 4
# Of the published recipes. Repeats cost the same decoding whether modules are bundled or not.
AUGMENTATION = {"random_resized_crop": 0.08, "horizontal_flip": 0.5, "rand_augment_operations": 2, "random_erasing": 0.25,
                "mixup_alpha": 0.8, "cutmix_alpha": 1.0, "mix_probability": 1.0, "cutmix_switch_probability": 0.5,
                "repeated_augmentation": 3, "drop_path": 0.1}


def images_in_memory(folder):
    write_idx(folder, 4096)
    return {"path": str(folder), "format": "DATASET_FORMAT_IDX", "classes": 10, "image_size": 28, "channels": 1,
            "input_size": 28, "train_size": 4096}


def photograph_files(folder):
    for name in range(CLASSES):
        write_photographs(folder / "train" / str(name), PHOTOGRAPHS // CLASSES, (500, 375), seed=name)
        write_photographs(folder / "val" / str(name), 1, (500, 375), seed=CLASSES + name)
    return {"path": str(folder), "format": "DATASET_FORMAT_IMAGE_FOLDER", "classes": CLASSES, "channels": 3,
            "input_size": 224, "train_size": PHOTOGRAPHS, "mean": [0.485, 0.456, 0.406],
            "deviation": [0.229, 0.224, 0.225]}


def measure(name, prepared, options, pairs):
    """Returns the figures, and whether each module was the same bundled and alone."""
    modules, ratios, cpu_ratios, same = range(prepared.job.modules), [], [], True
    for pair in range(pairs):
        runs = {}
        # Every other pair starts with the single runs, so that neither gains from going first.
        for which in ("bundle", "single") if pair % 2 == 0 else ("single", "bundle"):
            run = prepared.distil_together if which == "bundle" else prepared.distil_one_by_one
            runs[which] = run(modules, **options)
        together, alone = runs["bundle"].values(), runs["single"].values()
        same &= all(member["results"] and member["results"] == runs["single"][module]["results"]
                    for module, member in runs["bundle"].items())
        ratios.append(sum(m["wall"] for m in alone) / max(m["wall"] for m in together))
        cpu_ratios.append(sum(m["cpu"] for m in alone) / sum(m["cpu"] for m in together))
        print(f"{name} pair {pair + 1}/{pairs}: ratio {ratios[-1]:.3f}, of CPU time {cpu_ratios[-1]:.3f}, "
              f"{'same' if same else 'OTHER'} bits", file=sys.stderr)
    result = {name: round(statistics.median(ratios), 3), f"{name}_of_cpu_time": round(statistics.median(cpu_ratios), 3)}
    if pairs > 1:
        low, _, high = statistics.quantiles(ratios, n=4)
        result.update({f"{name}_quartile1": round(low, 3), f"{name}_quartile3": round(high, 3)})
    return result, same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with bin/distill-trainer")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs per figure")
    parser.add_argument("--steps", type=int, default=100, help="steps of each run on images in memory")
    parser.add_argument("--jpeg-steps", type=int, default=20, help="steps of each run on JPEG files")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    arguments = parser.parse_args()

    result, all_same = {}, True
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        in_memory = images_in_memory(folder / "images")
        in_files = photograph_files(folder / "photographs")
        for case in arguments.only:
            if case in PATCHES:
                job = Job(4, in_files, patch=PATCHES[case])
                options = {"images": arguments.jpeg_steps * arguments.batch, **AUGMENTATION}
            else:
                job = Job(int(case), in_memory)
                options = {"images": arguments.steps * arguments.batch}
            prepared = PreparedJob(job, Trainer(arguments.build, folder / f"of-{case}"))
            figures, same = measure(f"distill_bundle_speedup_{case}", prepared, {"batch": arguments.batch, **options},
                                    arguments.pairs)
            result.update(figures)
            all_same &= same
    print(json.dumps(result))
    return 0 if all_same else 1


if __name__ == "__main__":
    sys.exit(main())
