"""What an operator sees while things go wrong: a job on two workers, a server that is killed and comes back, a worker that
does not, and a pair of servers whose leader dies; every panel and the alerts that belong to it, on a real Prometheus."""

import os
import re
import socket
import time
import unittest

from monitoring import RULES, MonitoredTest, panels
from postgres import start_postgres
from product import BIN_DIR, OK, TINY_JOB, Program, eventually, write_idx_dataset

_FAKE_GPUS = os.path.join(os.path.dirname(BIN_DIR), "test_bin", "libfake_nvml.so")
_TIMES = ("--lease-seconds", "3", "--heartbeat-seconds", "0.5")


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


class MonitoringDemoTest(MonitoredTest):
    def fast_rules(self):
        """The rules, but what has to last for minutes lasts for a second."""
        with open(RULES, encoding="utf-8") as file:
            text = file.read()
        return self.product.write("rules.yml", re.sub(r"^( *for:) \w+$", r"\1 1s", text, flags=re.MULTILINE))

    def start_workers(self):
        """Two workers; the first has GPUs, as far as it can tell."""
        libraries = self.product.path("libraries")
        os.makedirs(libraries)
        os.symlink(_FAKE_GPUS, os.path.join(libraries, "libnvidia-ml.so.1"))
        os.environ["LD_LIBRARY_PATH"] = libraries
        self.addCleanup(os.environ.pop, "LD_LIBRARY_PATH")
        self.product.start_worker()
        os.environ["LD_LIBRARY_PATH"] = ""
        self.product.start_worker()
        return {f"worker-{i + 1}": worker.http for i, worker in enumerate(self.product.workers)}

    def test_a_job_with_two_workers_and_a_killed_server(self):
        if not os.path.exists(_FAKE_GPUS):
            self.skipTest(f"{_FAKE_GPUS} is not built")
        listen = free_address()
        self.product.start_server(*_TIMES, listen=listen)
        workers = self.start_workers()
        self.start_prometheus(self.fast_rules())
        began = time.monotonic()
        self.scrape("distill-server", {"server": self.product.server.http})
        self.scrape("distill-worker", workers)
        eventually(lambda: self.values("up") == [1, 1, 1], "all are scraped")
        data = write_idx_dataset(self.product.path("data"), [i % 10 for i in range(40000)])
        text = TINY_JOB % data + "execution: {checkpoint_interval_seconds: 0.2}\n"
        job = self.product.submit(self.product.write("job.yaml", text))
        eventually(lambda: (self.value("max_over_time(sum(distill_worker_train_images_per_second)[5m:1s])") or 0) > 0,
                   "training is seen")
        eventually(lambda: (self.value('sum(distill_attempts_total{outcome="succeeded"})') or 0) > 0, "tasks succeed")
        self.assertEqual(self.firing() - {"DistillGpuFault"}, set())

        self.product.server.kill()
        eventually(lambda: {"DistillServerDown", "DistillNoLeader"} <= self.firing(), "the alerts fire")
        eventually(lambda: self.value("min(distill_worker_registered)") == 0, "workers say that nobody answers")
        self.product.start_server(*_TIMES, listen=listen)
        self.scrape("distill-server", {"server": self.product.server.http})
        eventually(lambda: not {"DistillServerDown", "DistillNoLeader"} & self.firing(), "the alerts end")
        eventually(lambda: self.value('changes(process_start_time_seconds{instance="server"}[5m])') == 1, "one restart")
        eventually(lambda: self.value("min(distill_worker_registered)") == 1, "workers are back")

        eventually(lambda: self.value('distill_worker_slots{instance="worker-2", state="running"}') == 1, "it works")
        self.product.workers[1].kill()
        eventually(lambda: (self.value("distill_lease_expirations_total") or 0) > 0, "its lease expires")
        eventually(lambda: {"DistillWorkerDown", "DistillWorkersLost"} <= self.firing(), "the alerts fire")
        self.assertEqual(self.product.distill("job", "wait", job, timeout=300).returncode, OK)
        eventually(lambda: self.value('distill_jobs{state="succeeded"}') == 1, "the job is counted")

        took = int(time.monotonic() - began) + 1
        empty = [f"{board} / {panel} / {legend}: {expression}" for board, panel, legend, expression in panels()
                 if not self.finite_within(expression, took)]
        self.assertEqual(empty, [])
        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        self.assertEqual({rule["health"] for rule in rules}, {"ok"})
        print(f"\n{len(panels())} queries of panels and {len(rules)} rules had data within {took} s of a job with a killed "
              "server and a killed worker")


class FailoverTest(MonitoredTest):
    def test_the_leader_of_a_pair_dies(self):
        conninfo = start_postgres(self)
        blobs = self.product.path("shared")
        servers = {}
        for name in ("one", "two"):
            folder = self.product.path(name)
            os.makedirs(folder)
            os.makedirs(blobs, exist_ok=True)
            os.symlink(blobs, os.path.join(folder, "blobs"))
            servers[name] = Program("distill-server", ["--listen", "127.0.0.1:0", "--state", "postgres",
                                                       "--postgres", conninfo], folder)
            self.addCleanup(servers[name].stop)
            servers[name].await_ready()
        self.start_prometheus()
        self.scrape("distill-server", {name: server.http for name, server in servers.items()})
        eventually(lambda: self.value('distill_server_leading{instance="one"}') == 1, "the first leads")
        eventually(lambda: self.value('distill_server_leading{instance="two"}') == 0, "the second stands by")
        servers["one"].kill()
        eventually(lambda: self.value('distill_server_leading{instance="two"}') == 1, "the second leads")
        eventually(lambda: self.value("sum(distill_server_leading)") == 1, "there is one leader")
        for board, panel, legend, expression in panels():
            if "distill_server_leading" in expression:
                self.assertTrue(self.finite_within(expression, 30), f"{board} / {panel} / {legend}")
        self.assertNotIn("DistillNoLeader", self.firing())


if __name__ == "__main__":
    unittest.main()
