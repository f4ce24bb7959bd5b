"""Runs the demo once, from nothing, and tells how long it took and how much memory its hungriest trainer needed.

usage: demo_bench.py BUILD_DIRECTORY
"""

import json
import os
import subprocess
import sys
import tempfile
import time

_TRAINER_MEGABYTES = 1500
_SECONDS = 8 * 60


def main():
    distill = os.path.join(os.path.abspath(sys.argv[1]), "bin", "distill")
    with tempfile.TemporaryDirectory(prefix="distill-bench-") as folder:
        begin = time.monotonic()
        run = subprocess.run([distill, "demo", "--data-dir", folder, "-o", "json"], stdout=subprocess.PIPE, check=True)
        seconds = time.monotonic() - begin
    report = json.loads(run.stdout)
    peak = max(int(phase["peak_memory_bytes"]) for phase in report["phases"]) / 1e6
    if peak <= 0:
        print("demo_bench: the report has no peak memory", file=sys.stderr)
        return 1
    figures = {"demo_job_seconds": round(seconds, 1), "trainer_peak_megabytes_demo": round(peak, 1)}
    for model in report["models"]:
        if model["label"] in ("teacher", "student"):
            figures[f"demo_{model['label']}_accuracy"] = model["result"]["accuracy"]
    print(json.dumps(figures))
    if peak > _TRAINER_MEGABYTES or seconds > _SECONDS:
        print(f"demo_bench: want at most {_TRAINER_MEGABYTES} MB and {_SECONDS} s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
