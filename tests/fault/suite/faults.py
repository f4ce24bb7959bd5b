"""Breaks real processes in every way we know of, and says what was lost: nothing.

usage: faults.py [--runs N] [--seed S] [--output FILE] [FAULT ...]

Each fault runs small jobs on a server and workers of its own (stage.py) and breaks something meanwhile. After it every job must
have succeeded with the bits of an undisturbed job, each task must have one winning attempt, the metrics must equal the database,
all programs must end in order, and no trainer may be left. Prints a Markdown table; exits with 1 when anything was lost. What a
fault needs and this machine lacks, it says.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy import TO_CLIENT, TO_SERVER, Proxy  # noqa: E402, from the folder just added
from stage import LEASE_SECONDS, Stage, products, stop_for  # noqa: E402

_FAULTS = {}
# The server's exit code when its database fails.
_STORE_FAILED = 5


class Missing(Exception):
    """This machine lacks what a fault needs."""


def fault(name, title, runs):
    """Registers a function that gets a seed and how often to strike, and returns (strikes, what is wrong)."""
    def register(function):
        _FAULTS[name] = (title, runs, function)
        return function
    return register


def strike_jobs(seed, strikes, strike, **stage_options):
    """Runs jobs one after the other, each on a stage of its own, until strike(stage) was called often enough."""
    struck, jobs, wrong = 0, 0, []
    while struck < strikes and not wrong:
        if jobs > 10 + 2 * strikes:
            return struck, ["the fault finds nothing to strike"]
        jobs += 1
        with Stage(seed + jobs, **stage_options) as stage:
            job = stage.submit()
            struck += stage.while_running(job, lambda: strike(stage), strikes - struck)
            wrong += stage.finish(job) + stage.end()
    return struck, wrong


@fault("F01", "server SIGKILL at random moments", 200)
def server_killed(seed, strikes):
    slowest = [0.0]

    def strike(stage):
        stage.server.kill()
        slowest[0] = max(slowest[0], stage.restart_server())

    struck, wrong = strike_jobs(seed, strikes, strike)
    if slowest[0] > 5:
        wrong.append(f"a restart took {slowest[0]:.1f} s")
    return struck, wrong


@fault("F04a", "worker SIGKILL at random moments", 200)
def worker_killed(seed, strikes):
    def strike(stage):
        worker = stage.random.choice(stage.product.workers)
        worker.kill()
        stage.revive_worker(worker)

    return strike_jobs(seed, strikes, strike)


@fault("F04b", "trainer SIGKILL at random moments", 200)
def trainer_killed(seed, strikes):
    def strike(stage):
        trainers = stage.trainers()
        if not trainers:
            return False
        os.kill(stage.random.choice(trainers), signal.SIGKILL)
        return True

    return strike_jobs(seed, strikes, strike)


@fault("F05", "worker SIGSTOP for longer than its lease, then SIGCONT", 10)
def worker_frozen(seed, strikes):
    return strike_jobs(seed, strikes,
                       lambda stage: stop_for(stage.random.choice(stage.product.workers).process, 1.5 * LEASE_SECONDS))


def partitions(seed, strikes, seconds, *directions):
    """Cuts all workers off from the server, again and again."""
    proxies = []

    def through(address):
        proxies.append(Proxy(address, seed))
        return proxies[-1].address

    def strike(_):
        proxies[-1].cut(*directions)
        time.sleep(seconds)
        proxies[-1].heal()

    try:
        return strike_jobs(seed, strikes, strike, through=through)
    finally:
        for proxy in proxies:
            proxy.close()


@fault("F06a", "workers cut off from the server for 1 s, both ways", 20)
def short_partition(seed, strikes):
    return partitions(seed, strikes, 1.0)


@fault("F06b", "workers cut off for twice their lease, both ways", 5)
def long_partition(seed, strikes):
    return partitions(seed, strikes, 2 * LEASE_SECONDS)


@fault("F06c", "replies to workers lost for twice their lease", 5)
def replies_lost(seed, strikes):
    return partitions(seed, strikes, 2 * LEASE_SECONDS, TO_CLIENT)


@fault("F06d", "calls of workers lost for twice their lease", 5)
def calls_lost(seed, strikes):
    return partitions(seed, strikes, 2 * LEASE_SECONDS, TO_SERVER)


@fault("F07", "client cut off while it submits and watches", 10)
def client_partition(seed, strikes):
    struck, wrong = 0, []
    stage = Stage(seed)
    proxy = Proxy(stage.server.grpc, seed)
    try:
        for number in range(strikes):
            environment = dict(os.environ, DISTILL_SERVER=proxy.address, NO_COLOR="1")
            watch = subprocess.Popen([products.program("distill"), "job", "submit", stage.job_file, "--watch", "--set",
                                      f"seed={number}"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(stage.random.uniform(0, 0.3))
            proxy.cut()
            time.sleep(1.0)
            proxy.reset()
            proxy.heal()
            struck += 1
            output = watch.communicate(timeout=120)
            if watch.returncode != products.OK:
                wrong.append(f"submit --watch ended with {watch.returncode}: {output[1][-300:]}")
        jobs = stage.product.json("job", "list")["jobs"]
        if len(jobs) != strikes:
            wrong.append(f"{strikes} submissions made {len(jobs)} jobs")
        wrong += stage.end()
    finally:
        proxy.close()
        stage.close()
    return struck, wrong


@fault("F08", "200 ms of delay each way and 1 Mbit/s between workers and server", 2)
def slow_network(seed, strikes):
    struck, wrong = 0, []
    for number in range(strikes):
        proxies = []

        def through(address, made=proxies):
            made.append(Proxy(address))
            made[0].slow(delay=0.2, bytes_per_second=125_000)
            return made[0].address

        with Stage(seed + number, through=through) as stage:
            wrong += stage.finish(stage.submit())
            expired = [line for line in stage.server.get("/metrics").splitlines()
                       if line.startswith("distill_lease_expirations_total") and float(line.split()[-1]) > 0]
            wrong += [f"a slow network cost leases: {line}" for line in expired]
            wrong += stage.end()
            struck += 1
            proxies[0].close()
    return struck, wrong


@fault("F13", "a failed fdatasync of the server's disk", 10)
def failed_sync(seed, strikes):
    if shutil.which("strace") is None:
        raise Missing("strace")

    def strike(stage):
        """The next sync of the server fails; it must stop, and what it had acknowledged must be there after a restart."""
        server = stage.server.process
        trace = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=1",
                                  "-p", str(server.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            products.eventually(lambda: server.poll() is not None, "the server stops", seconds=20)
        except AssertionError:
            return False  # It had nothing to write.
        finally:
            trace.kill()
            trace.wait()
        if server.returncode not in (_STORE_FAILED, -signal.SIGKILL):
            raise AssertionError(f"after a failed sync the server ended with {server.returncode}")
        stage.restart_server()
        return True

    return strike_jobs(seed, strikes, strike)


def blob_files(stage):
    found = []
    for folder, _, names in os.walk(os.path.join(stage.server.data_dir, "blobs")):
        found += [os.path.join(folder, name) for name in names if len(name) == 64]
    return sorted(found)


def after_damage(seed, strikes, damage):
    """Runs a job, damages blobs, lets workers with empty caches run it once more, and compares."""
    struck, wrong = 0, []
    while struck < strikes and not wrong:
        with Stage(seed + struck) as stage:
            wrong += stage.finish(stage.submit())
            for worker in list(stage.product.workers):
                worker.stop()
                shutil.rmtree(worker.data_dir)
                stage.revive_worker(worker)
            for path in stage.random.sample(blob_files(stage), k=min(5, len(blob_files(stage)), strikes - struck)):
                damage(stage, path)
                struck += 1
            # Another fine-tuning reads what the first job's modules left.
            again = stage.submit("--set", "finetune_student.epochs=3")
            if stage.product.distill("job", "wait", again, timeout=300).returncode != products.OK:
                wrong.append(f"the second job failed: {stage.product.json('job', 'get', again).get('failure_message')}")
            wrong += stage.end()
    return struck, wrong


@fault("F14", "a bit of a stored blob flipped", 20)
def flipped_bit(seed, strikes):
    def damage(stage, path):
        size = os.path.getsize(path)
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.seek(stage.random.randrange(max(1, size)))
            byte = file.read(1) or b"\0"
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ (1 << stage.random.randrange(8))]))

    return after_damage(seed, strikes, damage)


@fault("F14b", "bits flipped between workers and server", 20)
def flipped_in_transit(seed, strikes):
    proxies = []

    def through(address):
        proxies.append(Proxy(address, seed))
        return proxies[-1].address

    def strike(_):
        proxies[-1].flip(1)

    try:
        _, wrong = strike_jobs(seed, strikes, strike, through=through)
        # A bit waits for bytes to be changed in: an order is no flip yet.
        flipped = sum(proxy.flipped for proxy in proxies)
        return flipped, wrong if flipped else [*wrong, "no bit was flipped"]
    finally:
        for proxy in proxies:
            proxy.close()


@fault("F15", "a stored blob deleted", 20)
def missing_blob(seed, strikes):
    return after_damage(seed, strikes, lambda _, path: os.remove(path))


@fault("F18", "500 workers come back at once after the server's restart", 3)
def returning_herd(seed, strikes):
    simulator = os.path.join(os.path.dirname(products.BIN_DIR), "test_bin", "fleet_simulator")
    if not os.path.exists(simulator):
        raise Missing(simulator)
    wrong = []
    stage = Stage(seed, workers=0)
    fleet = subprocess.Popen([simulator, stage.server.grpc, "--workers", "500", "--heartbeat-seconds", "1", "--seconds",
                              "600"], stdout=subprocess.DEVNULL)
    ready = 'distill_workers{state="ready"} 500'
    try:
        products.eventually(lambda: ready in stage.server.get("/metrics"), "500 workers are there")
        for _ in range(strikes):
            stage.server.kill()
            stage.restart_server()
            begin = time.monotonic()
            products.eventually(lambda: ready in stage.server.get("/metrics"), "500 workers are back")
            if time.monotonic() - begin > 10:
                wrong.append(f"it took {time.monotonic() - begin:.1f} s until all were back")
    finally:
        fleet.kill()
        fleet.wait()
        stage.close()
    return strikes, wrong


@fault("F21", "jobs cancelled at random moments, twice", 20)
def cancelled(seed, strikes):
    wrong = []
    with Stage(seed) as stage:
        for number in range(strikes):
            job = stage.submit("--set", f"seed={number}")
            time.sleep(stage.random.uniform(0, 2.5))
            for _ in range(2):
                stage.product.distill("job", "cancel", job)
            begin = time.monotonic()
            stage.product.distill("job", "wait", job)
            states = {task["state"].rsplit("_", 1)[-1] for task in stage.product.tasks(job)}
            if not states <= {"CANCELLED", "SUCCEEDED"}:
                wrong.append(f"tasks of a cancelled job are {states}")
            products.eventually(lambda: 'distill_tasks{state="running"} 0' in stage.server.get("/metrics"), "nothing runs", seconds=10)
            if time.monotonic() - begin > 10:
                wrong.append("a cancelled job ran on for more than 10 s")
        wrong += stage.finish(stage.submit()) + stage.end()
    return strikes, wrong


@fault("F24", "a watcher that stops reading", 5)
def dead_watcher(seed, strikes):
    wrong = []
    with Stage(seed) as stage:
        for number in range(strikes):
            job = stage.submit("--set", f"seed={number}")
            watch = subprocess.Popen([products.program("distill"), "job", "watch", job],
                                     env=dict(os.environ, DISTILL_SERVER=stage.server.grpc), stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            watch.send_signal(signal.SIGSTOP)
            if stage.product.distill("job", "wait", job).returncode != products.OK:
                wrong.append("the job failed beside a dead watcher")
            watch.send_signal(signal.SIGCONT)
            if watch.wait(30) != 0:
                wrong.append(f"the watcher ended with {watch.returncode} when it woke")
        wrong += stage.end()
    return strikes, wrong


@fault("F27", "500 idle connections and as many that send nonsense", 3)
def connection_flood(seed, strikes):
    wrong = []
    stage = Stage(seed)
    host, port = stage.server.grpc.rsplit(":", 1)
    try:
        for number in range(strikes):
            flood = [socket.create_connection((host, int(port))) for _ in range(1000)]
            for connection in flood[:500]:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + stage.random.randbytes(200))
            job = stage.submit("--set", f"seed={number}")
            if stage.product.distill("job", "wait", job).returncode != products.OK:
                wrong.append("the job failed during a flood")
            for connection in flood:
                connection.close()
        wrong += stage.finish(stage.submit()) + stage.end()
    finally:
        stage.close()
    return strikes, wrong


def run(name, seed, runs):
    """Returns a row of the table and whether nothing was lost."""
    title, usual, function = _FAULTS[name]
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
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(_FAULTS)}; default: all")
    parser.add_argument("--runs", type=int, help="how often each strikes; default: as docs/robustness.md lists")
    parser.add_argument("--seed", type=int, default=1, help="of moments and victims")
    parser.add_argument("--output", help="file that gets the table too")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.faults if name not in _FAULTS]
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(_FAULTS)}")
    rows = ["| fault | what | injected | losses | seconds |", "|---|---|---|---|---|"]
    print("\n".join(rows), flush=True)
    lossless = True
    for name in arguments.faults or _FAULTS:
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
