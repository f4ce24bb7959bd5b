#!/usr/bin/env python3
"""Compares a training step of a small NAC in our trainer with the same step in plain PyTorch.

First the losses, with all noise off: both programs are run in float64 and in float32 and must agree step by step. Then the
time: alternating pairs of runs, one thread each, ratio = peer seconds / our seconds; without noise (the same arithmetic in
both), and with it, as training draws it. Prints one flat JSON object, name with unit to number, and exits with 1 if the losses differ.

  nac_step_bench.py build/release --pairs 20
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).with_name("pytorch_nac_step.py")
# Debian's LibTorch belongs to Debian's Python, whatever else is first in PATH.
PYTHON = "/usr/bin/python3"
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


def compare_time(program, arguments, name, pairs):
    ratios, ours, theirs = [], [], []
    for pair in range(pairs):
        commands = [[program, *arguments], [PYTHON, str(PEER), *arguments]]
        # Every other pair starts with the peer, so that neither gains from going first.
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        seconds = {which: run(commands[which])["seconds_median"] for which in order}
        ours.append(seconds[0])
        theirs.append(seconds[1])
        ratios.append(seconds[1] / seconds[0])
        print(f"{name} pair {pair + 1}/{pairs}: ratio {ratios[-1]:.3f}", file=sys.stderr)
    low, median, high = statistics.quantiles(ratios, n=4)
    return {f"distill_{name}_ratio_vs_pytorch": round(median, 3),
            f"distill_{name}_ratio_vs_pytorch_quartile1": round(low, 3),
            f"distill_{name}_ratio_vs_pytorch_quartile3": round(high, 3),
            f"distill_{name}_seconds": round(statistics.median(ours), 6),
            f"pytorch_{name}_seconds": round(statistics.median(theirs), 6)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with our program, test_bin/nac_timed_step")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of runs with and without noise")
    parser.add_argument("--loss-steps", type=int, default=50, help="steps whose losses are compared")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each run")
    parser.add_argument("--batch", type=int, default=64, help="images per step")
    arguments = parser.parse_args()

    program = str(Path(arguments.build) / "test_bin" / "nac_timed_step")
    size = ["--batch", str(arguments.batch)]
    losses = [*size, "--noise", "0", "--steps", str(arguments.loss_steps), "--warmup", "0"]
    exact = differences(run([program, *losses, "--float64"]), run([PYTHON, "-c", FLOAT64, str(PEER), *losses]))
    single = differences(run([program, *losses]), run([PYTHON, str(PEER), *losses]))
    result = {"distill_nac_step_loss_difference_float64": max(exact), "distill_nac_step_loss_difference_float32": max(single)}
    timed = [*size, "--steps", str(arguments.steps), "--warmup", "2"]
    result |= compare_time(program, [*timed, "--noise", "0"], "nac_step", arguments.pairs)
    result |= compare_time(program, [*timed, "--noise", "1"], "nac_noisy_step", arguments.pairs)
    print(json.dumps(result))
    return 0 if max(exact) <= TOLERANCE and max(single) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
