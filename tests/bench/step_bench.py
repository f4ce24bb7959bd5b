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
import os
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).with_name("pytorch_step.py")
# Debian's LibTorch belongs to Debian's Python, whatever else is first in PATH.
PYTHON = "/usr/bin/python3"
SIZES = {
    "dim64": ["--dim", "64", "--student-dim", "48", "--batch", "64", "--module", "1"],
    "dim96": ["--dim", "96", "--student-dim", "96", "--batch", "256", "--module", "1"],
}
# Runs the peer in float64 without changing its file.
FLOAT64 = ("import runpy, sys, torch; torch.set_default_dtype(torch.float64); "
           "torch.Tensor.float = torch.Tensor.double; sys.argv = sys.argv[1:]; "
           "runpy.run_path(sys.argv[0], run_name='__main__')")
TOLERANCE = 1e-4


def run(command):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def differences(ours, theirs):
    return [abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with our program, test_bin/timed_step")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of runs per size")
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=sorted(SIZES))
    parser.add_argument("--loss-steps", type=int, default=50, help="steps whose losses are compared")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each run")
    arguments = parser.parse_args()

    program = str(Path(arguments.build) / "test_bin" / "timed_step")
    result, agreed = {}, True
    for name in arguments.sizes:
        size = SIZES[name]
        losses = [*size, "--steps", str(arguments.loss_steps), "--warmup", "0"]
        exact = differences(run([program, *losses, "--float64"]), run([PYTHON, "-c", FLOAT64, str(PEER), *losses]))
        single = differences(run([program, *losses]), run([PYTHON, str(PEER), *losses]))
        result[f"distill_step_loss_difference_float64_{name}"] = max(exact)
        result[f"distill_step_loss_difference_float32_{name}"] = max(single)
        agreed &= max(exact) <= TOLERANCE and max(single) <= TOLERANCE

        ratios, ours, theirs = [], [], []
        timed = [*size, "--steps", str(arguments.steps), "--warmup", "2"]
        for pair in range(arguments.pairs):
            commands = [[program, *timed], [PYTHON, str(PEER), *timed]]
            # Every other pair starts with the peer, so that neither gains from going first.
            order = (0, 1) if pair % 2 == 0 else (1, 0)
            seconds = {which: run(commands[which])["seconds_median"] for which in order}
            ours.append(seconds[0])
            theirs.append(seconds[1])
            ratios.append(seconds[1] / seconds[0])
            print(f"{name} pair {pair + 1}/{arguments.pairs}: ratio {ratios[-1]:.3f}", file=sys.stderr)
        low, median, high = statistics.quantiles(ratios, n=4)
        result[f"distill_step_ratio_vs_pytorch_{name}"] = round(median, 3)
        result[f"distill_step_ratio_vs_pytorch_{name}_quartile1"] = round(low, 3)
        result[f"distill_step_ratio_vs_pytorch_{name}_quartile3"] = round(high, 3)
        result[f"distill_step_seconds_{name}"] = round(statistics.median(ours), 6)
        result[f"pytorch_step_seconds_{name}"] = round(statistics.median(theirs), 6)
    print(json.dumps(result))
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
