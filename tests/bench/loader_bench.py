#!/usr/bin/env python3
"""Compares our loader with torchvision's: the paper's augmentation of JPEG files, one thread each.

The images are made by photographs.py: 500 by 375 pixels for 224, as in ImageNet, and 64 by 64 for 64. Runs alternate; ratio =
our images per second / the peer's, median and quartiles.

  loader_bench.py build/release --pairs 10
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from photographs import write_photographs  # noqa: E402

PEER = Path(__file__).with_name("torchvision_loader.py")
# Debian's torchvision belongs to Debian's Python, whatever else is first in PATH.
PYTHON = "/usr/bin/python3"
# Side of the input: size of the files, and images of one run of ours and of the peer.
SIZES = {64: ((64, 64), 6000, 1500), 224: ((500, 375), 600, 150)}
FILES = 128


def run(command):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="build directory with our program, test_bin/timed_loader")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of runs per size")
    arguments = parser.parse_args()
    program = str(Path(arguments.build) / "test_bin" / "timed_loader")
    result = {}
    for side, (size, our_images, peer_images) in SIZES.items():
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            write_photographs(Path(folder) / "class", FILES, size)
            commands = [[program, folder, str(side), str(our_images)],
                        [PYTHON, str(PEER), folder, str(side), str(peer_images)]]
            for pair in range(arguments.pairs):
                # Every other pair starts with the peer, so that neither gains from going first.
                order = (0, 1) if pair % 2 == 0 else (1, 0)
                speed = {which: run(commands[which]) for which in order}
                ours.append(speed[0])
                theirs.append(speed[1])
                print(f"{side} px pair {pair + 1}/{arguments.pairs}: {speed[0]:.0f} against {speed[1]:.0f} images/s",
                      file=sys.stderr)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        result[f"loader_images_per_second_{side}px"] = round(statistics.median(ours), 1)
        result[f"torchvision_images_per_second_{side}px"] = round(statistics.median(theirs), 1)
        result[f"loader_ratio_vs_torchvision_{side}px"] = round(median, 2)
        result[f"loader_ratio_vs_torchvision_{side}px_quartile1"] = round(low, 2)
        result[f"loader_ratio_vs_torchvision_{side}px_quartile3"] = round(high, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
