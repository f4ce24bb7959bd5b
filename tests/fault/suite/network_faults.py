"""Networks that lose, delay and change what they carry, and peers that do not behave."""

import os
import signal
import socket
import subprocess
import time

from proxy import TO_CLIENT, TO_SERVER, Proxy
from registry import Missing, fault, strike_jobs
from stage import LEASE_SECONDS, Stage, products


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
