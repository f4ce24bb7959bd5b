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

import product_bench

_BLOB_BYTES = 1 << 30
_CROWD = 64
_CROWD_BYTES = 16 << 20
# name -> (least, most)
_BOUNDS = {
    "blob_upload_ratio_of_limit": (0.6, None),
    "blob_download_ratio_of_limit": (0.6, None),
    "blob_server_rss_growth_megabytes_64_transfers": (None, 160),
}


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


if __name__ == "__main__":
    sys.exit(product_bench.run("blob_bench", measure, _BOUNDS))
