"""Compares a program of ours with a Python program that does the same training step.

Both print one JSON line with "losses" and "seconds_median". Used by step_bench.py and nac_step_bench.py.
"""
import json
import os
import statistics
import subprocess
import sys

# Debian's LibTorch belongs to Debian's Python, whatever else is first in PATH.
_PYTHON = "/usr/bin/python3"
# Runs the peer in float64 without changing its file.
_FLOAT64 = ("import runpy, sys, torch; torch.set_default_dtype(torch.float64); "
            "torch.Tensor.float = torch.Tensor.double; sys.argv = sys.argv[1:]; "
            "runpy.run_path(sys.argv[0], run_name='__main__')")
_LOSS_TOLERANCE = 1e-4


def _run(command):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


class StepPair:
    """Our program and its peer, which take the same arguments; float64 is --float64 of ours."""

    def __init__(self, program, peer):
        self._program = str(program)
        self._peer = str(peer)

    def compare_losses(self, name, arguments):
        """Returns the largest differences of a step's loss in float64 and float32, by figure, and whether both are within
        the tolerance."""
        exact = self._loss_difference([self._program, *arguments, "--float64"], [_PYTHON, "-c", _FLOAT64, self._peer, *arguments])
        single = self._loss_difference([self._program, *arguments], [_PYTHON, self._peer, *arguments])
        figures = {name.format("float64"): exact, name.format("float32"): single}
        return figures, exact <= _LOSS_TOLERANCE and single <= _LOSS_TOLERANCE

    def compare_time(self, label, arguments, pairs):
        """Runs both in turns. Returns the ratios peer seconds / our seconds, our seconds and theirs, a pair each."""
        ratios, ours, theirs = [], [], []
        for pair in range(pairs):
            commands = [[self._program, *arguments], [_PYTHON, self._peer, *arguments]]
            # Every other pair starts with the peer, so that neither gains from going first.
            order = (0, 1) if pair % 2 == 0 else (1, 0)
            seconds = {which: _run(commands[which])["seconds_median"] for which in order}
            ours.append(seconds[0])
            theirs.append(seconds[1])
            ratios.append(seconds[1] / seconds[0])
            print(f"{label} pair {pair + 1}/{pairs}: ratio {ratios[-1]:.3f}", file=sys.stderr)
        return ratios, ours, theirs

    @staticmethod
    def _loss_difference(ours, theirs):
        return max(abs(a - b) for a, b in zip(_run(ours)["losses"], _run(theirs)["losses"], strict=True))


def time_figures(step, suffix, times):
    """Names what compare_time() returned: distill_STEP_ratio_vs_pytorchSUFFIX and so on."""
    ratios, ours, theirs = times
    low, median, high = statistics.quantiles(ratios, n=4)
    return {f"distill_{step}_ratio_vs_pytorch{suffix}": round(median, 3),
            f"distill_{step}_ratio_vs_pytorch{suffix}_quartile1": round(low, 3),
            f"distill_{step}_ratio_vs_pytorch{suffix}_quartile3": round(high, 3),
            f"distill_{step}_seconds{suffix}": round(statistics.median(ours), 6),
            f"pytorch_{step}_seconds{suffix}": round(statistics.median(theirs), 6)}
