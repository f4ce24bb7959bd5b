"""A real Prometheus scrapes a server and a worker: the pages are well formed and complete, and rules and dashboards see
what happens."""

import os
import re
import subprocess
import unittest

from monitoring import MonitoredTest, panels
from product import OK, SOURCE_DIR, TINY_JOB, eventually, write_idx_dataset

_CATALOGUE = os.path.join(SOURCE_DIR, "docs", "metrics.md")
# Only where blobs are kept in an object store, and where there are certificates.
_ELSEWHERE = {"distill_s3_retries_total", "distill_tls_certificate_expiry_timestamp_seconds",
              "distill_worker_tls_certificate_expiry_timestamp_seconds"}


def documented(*sections):
    """The metrics that sections of the catalogue list, but for those of hardware that a test has not."""
    names = set()
    for section in sections:
        with open(_CATALOGUE, encoding="utf-8") as file:
            text = file.read().split(f"## {section}\n")[1].split("\n## ")[0]
        rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
        names |= {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}
    return {name for name in names if not name.startswith("distill_worker_gpu_")}


def families(text):
    return {name for name in re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
            if not name.startswith("distill_worker_gpu_")}


class PrometheusTest(MonitoredTest):
    def setUp(self):
        super().setUp()
        self.product.start_server()
        self.worker = self.product.start_worker()

    def test_scrapes_rules_and_panels(self):
        self.start_prometheus()
        self.scrape("distill-server", {"server": self.product.server.http})
        self.scrape("distill-worker", {"worker": self.worker.http})
        for name in ("distill-server", "distill-worker"):
            eventually(lambda name=name: self.value(f'up{{job="{name}"}}') == 1, f"{name} is scraped")
        # Zero is data: before there is a job, every panel has something to show.
        for board, panel, legend, expression in panels():
            if "distill_worker_gpu_" not in expression:
                eventually(lambda query=expression: self.values(query), f"{board} / {panel} / {legend}: {expression}")
            self.assertIsNotNone(self.values(expression), f"{board} / {panel} is not accepted: {expression}")
        job = self.product.submit(self.product.write("job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data"))))
        self.assertEqual(self.product.distill("job", "wait", job).returncode, OK)
        eventually(lambda: self.value('distill_jobs{state="succeeded"}') == 1, "the job is counted")
        eventually(lambda: self.value('sum(distill_attempts_total{outcome="succeeded"})') == 18, "attempts are counted")
        eventually(lambda: self.value('distill_worker_attempts_total{outcome="succeeded"}') == 18, "also by the worker")
        eventually(lambda: self.value("distill:db_commit_seconds:p99") is not None, "recording rules are evaluated")
        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        self.assertEqual({rule["health"] for rule in rules}, {"ok"}, rules)
        self.assertGreater(len([rule for rule in rules if rule["type"] == "alerting"]), 30)
        self.assertEqual(self.firing(), set())

    def test_pages_are_well_formed_and_complete_from_the_start(self):
        eventually(lambda: "distill_disk_size_bytes" in self.product.server.get("/metrics"), "gauges are set")
        for running, section in ((self.product.server, "Server"), (self.worker, "Worker")):
            page = running.get("/metrics")
            check = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
            self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
            self.assertEqual(documented("Both", section) - _ELSEWHERE - families(page), set(), section)
            self.assertEqual(families(page) - documented("Both", section), set(), section)


if __name__ == "__main__":
    unittest.main()
