"""A real Prometheus scrapes a running server and worker, with the rules of deploy/prometheus."""

import json
import os
import re
import shutil
import socket
import subprocess
import unittest
import urllib.parse
import urllib.request

from product import OK, SOURCE_DIR, TINY_JOB, ProductTest, eventually, write_idx_dataset

_RULES = os.path.join(SOURCE_DIR, "deploy", "prometheus", "rules.yml")
_CATALOGUE = os.path.join(SOURCE_DIR, "docs", "metrics.md")
_CONFIG = """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - {job_name: distill-server, static_configs: [{targets: ["%s"]}]}
  - {job_name: distill-worker, static_configs: [{targets: ["%s"]}]}
"""
# Labels of these come with what they measure, a kind of task or a slot that trains; until then there is no series.
_LATER = {"distill_task_schedule_latency_seconds", "distill_task_duration_seconds", "distill_attempts_total",
          "distill_task_transitions_total", "distill_grpc_server_handled_total", "distill_grpc_server_handling_seconds",
          "distill_worker_train_step", "distill_worker_train_loss", "distill_worker_train_images_per_second",
          "distill_worker_data_wait_ratio",
          # Only where blobs are kept in an object store.
          "distill_s3_retries_total"}


def documented(section):
    """The metrics that one section of the catalogue lists."""
    with open(_CATALOGUE, encoding="utf-8") as file:
        text = file.read().split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"distill_[a-z0-9_]+", row)}


def families(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


class PrometheusTest(ProductTest):
    def setUp(self):
        super().setUp()
        if shutil.which("prometheus") is None:
            self.skipTest("Debian's package prometheus is not installed")
        self.product.start_server()
        self.worker = self.product.start_worker()

    def start_prometheus(self):
        config = _CONFIG % (_RULES, self.product.server.http, self.worker.http)
        # Prometheus cannot pick a port by itself.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        with open(self.product.path("prometheus.log"), "wb") as log:
            process = subprocess.Popen(
                ["prometheus", f"--config.file={self.product.write('prometheus.yml', config)}",
                 f"--storage.tsdb.path={self.product.path('tsdb')}", f"--web.listen-address={self.address}"],
                stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def ask(self, path):
        """Prometheus's answer, or None while it starts."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=5) as reply:
                return json.load(reply)["data"]
        except OSError:
            return None

    def value(self, query):
        """The value of a query of one series, None while there is none."""
        answer = self.ask("query?" + urllib.parse.urlencode({"query": query}))
        return float(answer["result"][0]["value"][1]) if answer and answer["result"] else None

    def test_scrapes_and_rules(self):
        self.start_prometheus()
        job = self.product.submit(self.product.write("job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data"))))
        self.assertEqual(self.product.distill("job", "wait", job).returncode, OK)
        for name in ("distill-server", "distill-worker"):
            eventually(lambda name=name: self.value(f'up{{job="{name}"}}') == 1, f"{name} is scraped")
        eventually(lambda: self.value('distill_jobs{state="succeeded"}') == 1, "the job is counted")
        eventually(lambda: self.value('sum(distill_attempts_total{outcome="succeeded"})') == 18, "attempts are counted")
        eventually(lambda: self.value('distill_worker_attempts_total{outcome="succeeded"}') == 18, "also by the worker")
        eventually(lambda: self.value("distill:db_commit_seconds:p99") is not None, "recording rules are evaluated")
        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        self.assertEqual({rule["health"] for rule in rules}, {"ok"})
        self.assertGreater(len([rule for rule in rules if rule["type"] == "alerting"]), 10)
        self.assertEqual([alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"], [])

    def test_pages_are_well_formed_and_complete_from_the_start(self):
        eventually(lambda: "distill_disk_size_bytes" in self.product.server.get("/metrics"), "gauges are set")
        for running, section in ((self.product.server, "Server"), (self.worker, "Worker")):
            page = running.get("/metrics")
            check = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
            self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
            self.assertEqual(documented(section) - _LATER - families(page), set(), section)
            self.assertEqual(families(page) - documented(section), set(), section)


if __name__ == "__main__":
    unittest.main()
