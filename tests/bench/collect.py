"""Runs every benchmark and gathers the figures into one flat JSON object: name with unit -> number.

usage: collect.py BUILD_DIRECTORY OUTPUT_FILE

A benchmark is a program <build>/test_bin/*_bench or a script tests/bench/*_bench.py, which gets BUILD_DIRECTORY. It
prints its figures as lines that each hold one JSON object of numbers, other lines are for people; it exits with 0 unless
what it measured is wrong. Scripts run from the root of the tree, under Debian's own Python, which has Debian's packages.
"""

import glob
import json
import math
import os
import subprocess
import sys


def figures_of(output):
    """Returns the figures in a benchmark's output; raises ValueError for anything but numbers."""
    figures = {}
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        for name, value in json.loads(line).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"figure {name} is no finite number: {value!r}")
            if name in figures:
                raise ValueError(f"figure {name} is printed twice")
            figures[name] = value
    return figures


def main():
    build, output_file = sys.argv[1], sys.argv[2]
    here = os.path.dirname(os.path.abspath(__file__))
    commands = [[path] for path in sorted(glob.glob(os.path.join(build, "test_bin", "*_bench")))]
    commands += [["/usr/bin/python3", path, build] for path in sorted(glob.glob(os.path.join(here, "*_bench.py")))]
    figures = {}
    failed = []
    seconds_file = os.path.join(os.path.dirname(os.path.abspath(build)), "build_seconds")
    if os.path.exists(seconds_file):
        with open(seconds_file, encoding="ascii") as file:
            figures["build_seconds"] = float(file.read())
    for command in commands:
        name = os.path.basename(next(part for part in command if "_bench" in part))
        print(f"-- {name}", flush=True)
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(run.stdout)
        try:
            figures.update(figures_of(run.stdout))
            if run.returncode != 0:
                raise ValueError(f"exit status {run.returncode}")
        except ValueError as error:
            failed.append(f"{name}: {error}")
    with open(output_file, "w", encoding="ascii") as file:
        json.dump(dict(sorted(figures.items())), file, indent=1)
        file.write("\n")
    print(f"{len(figures)} figures in {output_file}")
    for failure in failed:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
