"""Measures a server and an idle worker as real processes: memory, and how fast jobs are taken and tasks are handed out.

usage: service_bench.py BUILD_DIRECTORY

Memory is resident memory, /proc/PID/status; a bound that docs/verification.md claims and that does not hold is an error.
The tasks do nothing: simulated workers return canned bytes for them.
"""

import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import product as products  # noqa: E402, from the folder just added
import product_bench  # noqa: E402

# name -> (least, most)
_BOUNDS = {
    "server_rss_megabytes_10k_tasks": (None, 150),
    "worker_rss_megabytes_idle": (None, 60),
}
_QUEUED_TASKS = 10_000
_SIMULATED_WORKERS = 8
_SIMULATED_SECONDS = 10
_MODULES = 32

WIDE_JOB = """\
dataset: {path: %s}
modules: %d
patch_size: 14
meta: {embed_dim: 8, heads: 2}
teacher: {embed_dim: 8, heads: 2}
student: {vit: {embed_dim: 8, heads: 2}}
execution: {numeric_class: cpu-x86-avx2, max_bundle: 1}
pretrain_meta: {batch_size: 20}
incubate_teacher: {batch_size: 20}
finetune_teacher: {batch_size: 20}
distill_modules: {batch_size: 20}
finetune_student: {batch_size: 20}
evaluation: {corruptions: [none], batch_size: 20}
"""


def megabytes(running):
    return running.rss_bytes() / 1e6


def waiting_tasks(product):
    """The number of tasks that the server has and nobody has finished."""
    lines = product.server.get("/metrics").splitlines()
    return sum(float(line.split()[1]) for line in lines
               if line.startswith(('distill_tasks{state="blocked"', 'distill_tasks{state="queued"')))


def fill(product, job_file):
    """Submits jobs until _QUEUED_TASKS wait; returns the seconds that each submission took."""
    seconds = []
    submitted = 0
    while submitted < _QUEUED_TASKS:
        begin = time.monotonic()
        job = product.submit(job_file, "--set", f"seed={len(seconds)}")
        seconds.append(time.monotonic() - begin)
        submitted += product.json("job", "get", job)["tasks_total"]
    products.eventually(lambda: waiting_tasks(product) >= submitted, "all tasks are counted")
    return seconds


def simulate(build, product):
    """Lets simulated workers empty the queue for a while; returns tasks per second."""
    run = subprocess.run([os.path.join(build, "test_bin", "fleet_simulator"), product.server.grpc,
                          "--workers", str(_SIMULATED_WORKERS), "--seconds", str(_SIMULATED_SECONDS)], stdout=subprocess.PIPE, text=True, check=True)
    counts = [int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("completed ")]
    # The first second is for registering.
    return (counts[-1] - counts[0]) / (len(counts) - 1)


def measure(build, product):
    figures = {}
    job_file = product.write("wide.yaml", WIDE_JOB % (products.write_idx_dataset(product.path("data")), _MODULES))
    product.start_server()
    figures["server_rss_megabytes_empty"] = megabytes(product.server)
    worker = product.start_worker()
    products.eventually(lambda: "distill_worker_registered 1" in worker.get("/metrics"), "the worker is registered")
    figures["worker_rss_megabytes_idle"] = megabytes(worker)
    worker.stop()
    seconds = fill(product, job_file)
    figures["server_rss_megabytes_10k_tasks"] = megabytes(product.server)
    figures["job_submit_seconds_p50"] = statistics.median(seconds)
    figures["noop_tasks_per_second"] = simulate(build, product)
    figures["server_rss_megabytes_after_noop_tasks"] = megabytes(product.server)
    return figures


if __name__ == "__main__":
    sys.exit(product_bench.run("service_bench", measure, _BOUNDS))
