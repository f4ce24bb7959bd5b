"""Measures one server under many tasks and many workers, beside Dask and Slurm handing out tasks that do nothing.

usage: scale_bench.py BUILD_DIRECTORY

Server and workers are real processes that speak gRPC over loopback; the workers are simulated and return canned digests. Every
task is a row of SQLite, durable before the reply that leases or completes it; every job has a seed of its own, so that no
result is reused. Dask keeps its tasks in memory only, Slurm saves them some time later. Bounds that docs/scale.md claims and
that do not hold are printed and are an error.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import product as products  # noqa: E402, from the folder just added
import product_bench  # noqa: E402
import service_bench  # noqa: E402
import slurm_cluster  # noqa: E402

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROUNDS = 3  # Of each side, alternating.
_FLEET_SECONDS = 8
_DASK_TASKS = 3000
_SLURM_TASKS = 100

# name -> (least, most)
_BOUNDS = {
    "dispatch_durable_tasks_per_second": (1500, None),
    "submit_milliseconds_p50": (None, 3),
    "ready_to_leased_milliseconds_p50": (None, 2),
    "ready_to_leased_milliseconds_p99": (None, 20),
    "server_cores_1000_heartbeating_workers": (None, 0.25),
    "workers_alive_on_1000_connections": (10_000, None),
    "server_rss_megabytes_100k_tasks": (None, 300),
    "restart_seconds_100k_tasks": (None, 2),
    "job_of_most_modules_accepted_seconds": (None, 1),
}
_MOST_MODULES = 10_000


class Bench:
    def __init__(self, build, product):
        self._build = build
        self.product = product
        data = products.write_idx_dataset(self.product.path("data"))
        self.wide = self.product.write("wide.yaml", service_bench.WIDE_JOB % (data, 32))
        self.widest = self.product.write("widest.yaml", service_bench.WIDE_JOB % (data, _MOST_MODULES))
        # Almost a chain: most of its tasks wait for one other.
        self.chain = self.product.write("chain.yaml", service_bench.WIDE_JOB % (data, 1))
        self._seed = 0

    def program(self, name):
        return os.path.join(self._build, "test_bin", name)

    def restart(self):
        """A new server with an empty database."""
        if self.product.server is not None:
            self.product.server.stop()
            shutil.rmtree(self.product.server.data_dir)
        self.product.start_server()

    def submit(self, job, count, pause=0.0):
        run = subprocess.run([self.program("timed_submits"), self.product.server.grpc, job, "--count", str(count),
                              "--first-seed", str(self._seed), "--pause-seconds", str(pause)],
                             stdout=subprocess.PIPE, text=True, check=True)
        self._seed += count
        return json.loads(run.stdout)

    def fleet(self, seconds, *options):
        return subprocess.Popen([self.program("fleet_simulator"), self.product.server.grpc, "--seconds", str(seconds), *options],
                                stdout=subprocess.PIPE, text=True)

    def server_cpu_seconds(self):
        with open(f"/proc/{self.product.server.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fill(self, tasks):
        while service_bench.waiting_tasks(self.product) < tasks:
            self.submit(self.wide, max(1, int((tasks - service_bench.waiting_tasks(self.product)) / 140)))


def counts(output, field):
    """The numbers after `field` in each line of a simulated fleet."""
    return [int(line.split(f"{field} ")[1].split()[0]) for line in output.splitlines() if line.startswith("completed ")]


def dispatch(bench):
    """Tasks per second, leased and completed, by 16 workers that take at most 16 at a time."""
    bench.restart()
    bench.fill(60_000)
    output = bench.fleet(_FLEET_SECONDS, "--workers", "16", "--slots", "16").communicate()[0]
    done = counts(output, "completed")
    if service_bench.waiting_tasks(bench.product) == 0:
        raise RuntimeError("the queue ran empty; fill it further")
    return (done[-1] - done[0]) / (len(done) - 1)


def dask_rate():
    run = subprocess.run(["/usr/bin/python3", os.path.join(_HERE, "dask_noop.py"), str(_DASK_TASKS)], stdout=subprocess.PIPE,
                         text=True, check=True)
    return float(run.stdout.split()[-1])


def slurm_rate():
    with tempfile.TemporaryDirectory(prefix="distill-slurm-") as folder, slurm_cluster.Cluster(folder) as cluster:
        return _SLURM_TASKS / cluster.seconds_of_array(_SLURM_TASKS)


def throughput(bench, figures):
    rates = {"ours": [], "dask": [], "slurm": []}
    for _ in range(_ROUNDS):
        rates["ours"].append(dispatch(bench))
        rates["dask"].append(dask_rate())
        rates["slurm"].append(slurm_rate())
        print({name: round(values[-1], 1) for name, values in rates.items()}, file=sys.stderr)
    figures["dispatch_durable_tasks_per_second"] = statistics.median(rates["ours"])
    figures["dask_tasks_per_second"] = statistics.median(rates["dask"])
    figures["slurm_tasks_per_second"] = statistics.median(rates["slurm"])
    figures["dispatch_ratio_vs_dask"] = statistics.median(a / b for a, b in zip(rates["ours"], rates["dask"]))
    figures["dispatch_ratio_vs_slurm"] = statistics.median(a / b for a, b in zip(rates["ours"], rates["slurm"]))


def submissions(bench, figures):
    bench.restart()
    bench.submit(bench.chain, 20)
    times = bench.submit(bench.chain, 300)
    figures["submit_milliseconds_p50"] = times["p50"]
    figures["submit_milliseconds_p99"] = times["p99"]
    begin = time.monotonic()
    bench.submit(bench.widest, 1)
    figures["job_of_most_modules_accepted_seconds"] = time.monotonic() - begin


def thousand_workers(bench, figures):
    """Idle slots of 1,000 workers on 1,000 connections, which report every 5 seconds."""
    bench.restart()
    fleet = bench.fleet(60, "--workers", "1000", "--heartbeat-seconds", "5")
    products.eventually(lambda: 'distill_workers{state="ready"} 1000' in bench.product.server.get("/metrics"),
                        "all workers are registered", seconds=40)
    time.sleep(5)  # Until the burst of registrations is over: what follows is measured over a time.
    begin, used = time.monotonic(), bench.server_cpu_seconds()
    time.sleep(10)
    figures["server_cores_1000_heartbeating_workers"] = (bench.server_cpu_seconds() - used) / (time.monotonic() - begin)
    bench.submit(bench.chain, 100, pause=0.1)
    output = fleet.communicate()[0]
    latencies = next(line for line in output.splitlines() if line.startswith("leased after")).split()
    figures["ready_to_leased_milliseconds_p50"] = float(latencies[latencies.index("p50") + 1])
    figures["ready_to_leased_milliseconds_p99"] = float(latencies[latencies.index("p99") + 1])


def ten_thousand_workers(bench, figures):
    bench.restart()
    fleet = bench.fleet(40, "--workers", "10000", "--connections", "1000", "--heartbeat-seconds", "10")
    fleet.wait()
    alive = next(line for line in bench.product.server.get("/metrics").splitlines()
                 if line.startswith('distill_workers{state="ready"}'))
    figures["workers_alive_on_1000_connections"] = float(alive.split()[1])
    figures["server_rss_megabytes_10k_workers"] = service_bench.megabytes(bench.product.server)


def hundred_thousand_tasks(bench, figures):
    bench.restart()
    bench.fill(100_000)
    figures["server_rss_megabytes_100k_tasks"] = service_bench.megabytes(bench.product.server)
    bench.product.server.process.send_signal(signal.SIGKILL)
    bench.product.server.process.wait()
    begin = time.monotonic()
    bench.product.start_server(data_dir=bench.product.server.data_dir)
    figures["restart_seconds_100k_tasks"] = time.monotonic() - begin
    if service_bench.waiting_tasks(bench.product) < 100_000:
        raise RuntimeError("tasks are missing after the restart")


def measure(build, product):
    figures = {}
    bench = Bench(build, product)
    for part in (submissions, thousand_workers, ten_thousand_workers, hundred_thousand_tasks, throughput):
        part(bench, figures)
    return figures


if __name__ == "__main__":
    sys.exit(product_bench.run("scale_bench", measure, _BOUNDS))
