"""Measures how fast blobs move between a worker and a server on this machine, and what that costs the server in memory.

usage: blob_bench.py BUILD_DIRECTORY

A blob of 1 GiB goes up and down in three rounds, each beside what one core hashes and the disk writes and reads in that
round; the figure is the median of the ratios to the lesser of them. Then 64 blobs at a time go up and down, and the
server's peak memory is compared with what it had before. A goal that is missed is an error.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import product as products  # noqa: E402, from the folder just added

_BLOB_BYTES = 1 << 30
_CROWD = 64
_CROWD_BYTES = 16 << 20
_LEAST_RATIO = 0.6
_MOST_GROWTH_MEGABYTES = 160


def peak_megabytes(pid):
    """Returns the highest resident memory since the last reset."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("no VmHWM")


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def run(build, *arguments):
    command = [os.path.join(build, "test_bin", "timed_blobs"), *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def measure(build, product):
    product.start_server()
    server, directory = product.server.grpc, product.path("server")
    figures = json.loads(run(build, "rounds", server, directory, _BLOB_BYTES))
    pid = product.server.process.pid
    # Once without looking: the allocator and gRPC keep what they have used.
    run(build, "crowd", server, directory, 4, _CROWD_BYTES)
    reset_peak(pid)
    before = peak_megabytes(pid)
    run(build, "crowd", server, directory, _CROWD, _CROWD_BYTES)
    figures["blob_server_rss_growth_megabytes_64_transfers"] = peak_megabytes(pid) - before
    return figures


def main():
    build = os.path.abspath(sys.argv[1])
    products.BIN_DIR = os.path.join(build, "bin")
    product = products.Product()
    try:
        figures = measure(build, product)
    finally:
        product.close()
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    failed = [f"{name} is below {_LEAST_RATIO}" for name in ("blob_upload_ratio_of_limit", "blob_download_ratio_of_limit")
              if figures[name] < _LEAST_RATIO]
    if figures["blob_server_rss_growth_megabytes_64_transfers"] > _MOST_GROWTH_MEGABYTES:
        failed.append(f"64 transfers cost the server more than {_MOST_GROWTH_MEGABYTES} MB")
    for failure in failed:
        print(f"blob_bench: {failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
