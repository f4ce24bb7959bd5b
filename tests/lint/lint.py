"""Runs the checks of this folder on the source tree.

usage: lint.py all | CHECK...

Prints one line a problem, path:line: what, and exits with 1 if there is one.
"""

import importlib
import os
import sys

from tree import Tree

CHECKS = ["layers", "listed", "words", "lengths", "links", "markers", "metrics", "runbooks", "dashboards",
          "job_file_reference", "protocol", "reasons", "python_client", "formatted"]


def main(arguments):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    names = CHECKS if arguments == ["all"] else arguments
    if not names or not set(names) <= set(CHECKS):
        print(__doc__ + f"\nchecks: {' '.join(CHECKS)}", file=sys.stderr)
        return 2
    found = [p for name in names for p in importlib.import_module(name).problems(Tree(root))]
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
