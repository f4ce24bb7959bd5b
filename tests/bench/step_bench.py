#!/usr/bin/env python3
"""Compares the step of our trainer with the same step in plain PyTorch.

First the losses: both programs are run in float64, where they must agree step by step, and in float32. Then the time:
alternating pairs of runs, one thread each, ratio = peer seconds / our seconds. Prints one flat JSON object, name with unit
to number, and exits with 1 if the losses differ.

In float32 two runs drift apart once a token sits on the border between two experts, more or less by instruction set and matrix
library. The tolerance holds for all steps all the same: where it is missed, this says so.

  step_bench.py build/release --pairs 20
"""
import argparse
import json
import sys
from pathlib import Path

from step_pairs import StepPair, time_figures

SIZES = {
    "dim64": ["--dim", "64", "--student-dim", "48", "--batch", "64", "--module", "1"],
    "dim96": ["--dim", "96", "--student-dim", "96", "--batch", "256", "--module", "1"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with our program, test_bin/timed_step")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of runs per size")
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=sorted(SIZES))
    parser.add_argument("--loss-steps", type=int, default=50, help="steps whose losses are compared")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each run")
    arguments = parser.parse_args()

    pair = StepPair(Path(arguments.build) / "test_bin" / "timed_step", Path(__file__).with_name("pytorch_step.py"))
    result, agreed = {}, True
    for name in arguments.sizes:
        size = SIZES[name]
        losses, within = pair.compare_losses(f"distill_step_loss_difference_{{}}_{name}",
                                             [*size, "--steps", str(arguments.loss_steps), "--warmup", "0"])
        times = pair.compare_time(name, [*size, "--steps", str(arguments.steps), "--warmup", "2"], arguments.pairs)
        result |= losses | time_figures("step", f"_{name}", times)
        agreed &= within
    print(json.dumps(result))
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
