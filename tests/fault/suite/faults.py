"""Breaks real processes in every way we know of, and says what was lost: nothing.

usage: faults.py [--runs N] [--seed S] [--output FILE] [FAULT ...]

Each fault runs small jobs on a server and workers of its own (stage.py) and breaks something meanwhile. After it every job must
have succeeded with the bits of an undisturbed job, each task must have one winning attempt, the metrics must equal the database,
all programs must end in order, and no trainer may be left. Prints a Markdown table; exits with 1 when anything was lost. What a
fault needs and this machine lacks, it says.
"""

import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# For what they register.
import network_faults  # noqa: E402, F401, from the folder just added
import power_faults  # noqa: E402, F401
import process_faults  # noqa: E402, F401
import storage_faults  # noqa: E402, F401
from registry import FAULTS, Missing  # noqa: E402


def run(name, seed, runs):
    """Returns a row of the table and whether nothing was lost."""
    title, usual, function = FAULTS[name]
    begin = time.monotonic()
    try:
        struck, wrong = function(seed, runs or usual)
        outcome = "; ".join(wrong) if wrong else "none"
    except Missing as missing:
        return f"| {name} | {title} | - | not run: {missing} is missing | |", True
    except Exception:  # Whatever it was: the other faults are to run.
        struck, wrong, outcome = 0, ["failed"], traceback.format_exc().strip().splitlines()[-1]
        traceback.print_exc()
    return f"| {name} | {title} | {struck} | {outcome} | {time.monotonic() - begin:.0f} |", not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(sorted(FAULTS))}; default: all")
    parser.add_argument("--runs", type=int, help="how often each strikes; default: as docs/robustness.md lists")
    parser.add_argument("--seed", type=int, default=1, help="of moments and victims")
    parser.add_argument("--output", help="file that gets the table too")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.faults if name not in FAULTS]
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(sorted(FAULTS))}")
    rows = ["| fault | what | injected | losses | seconds |", "|---|---|---|---|---|"]
    print("\n".join(rows), flush=True)
    lossless = True
    for name in arguments.faults or sorted(FAULTS):
        row, passed = run(name, arguments.seed, arguments.runs)
        lossless &= passed
        rows.append(row)
        print(row, flush=True)
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as file:
            file.write("\n".join(rows) + "\n")
    return 0 if lossless else 1


if __name__ == "__main__":
    sys.exit(main())
