"""Checks that what the Python client takes from proto/ and docs/ is as client/python/generate.py makes it now."""

import subprocess
import sys


def problems(tree):
    run = subprocess.run([sys.executable, "client/python/generate.py", "--check"], cwd=tree.root, capture_output=True,
                         text=True, check=False)
    yield from run.stdout.splitlines()
    if run.returncode not in (0, 1) or run.stderr:
        yield f"client/python/generate.py:1: {(run.stderr.strip().splitlines() or ['failed'])[-1]}"
