#!/usr/bin/env python3
"""Compares a training step of a small NAC in our trainer with the same step in plain PyTorch.

First the losses, with all noise off: both programs are run in float64 and in float32 and must agree step by step. Then the
time: alternating pairs of runs, one thread each, ratio = peer seconds / our seconds; without noise (the same arithmetic in
both), and with it, as training draws it. Prints one flat JSON object, name with unit to number, and exits with 1 if the losses differ.

  nac_step_bench.py build/release --pairs 20
"""
import argparse
import json
import sys
from pathlib import Path

from step_pairs import StepPair, time_figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with our program, test_bin/nac_timed_step")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of runs with and without noise")
    parser.add_argument("--loss-steps", type=int, default=50, help="steps whose losses are compared")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each run")
    parser.add_argument("--batch", type=int, default=64, help="images per step")
    arguments = parser.parse_args()

    pair = StepPair(Path(arguments.build) / "test_bin" / "nac_timed_step", Path(__file__).with_name("pytorch_nac_step.py"))
    size = ["--batch", str(arguments.batch)]
    result, agreed = pair.compare_losses("distill_nac_step_loss_difference_{}",
                                         [*size, "--noise", "0", "--steps", str(arguments.loss_steps), "--warmup", "0"])
    timed = [*size, "--steps", str(arguments.steps), "--warmup", "2"]
    for name, noise in (("nac_step", "0"), ("nac_noisy_step", "1")):
        result |= time_figures(name, "", pair.compare_time(name, [*timed, "--noise", noise], arguments.pairs))
    print(json.dumps(result))
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
