"""A real Prometheus beside a product, and the questions that the dashboards of deploy/grafana ask of it."""

import glob
import json
import math
import os
import re
import shutil
import socket
import subprocess
import unittest
import urllib.parse
import urllib.request

from product import SOURCE_DIR, ProductTest

RULES = os.path.join(SOURCE_DIR, "deploy", "prometheus", "rules.yml")
_CONFIG = """\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
"""
_JOB = "  - {job_name: %s, file_sd_configs: [{files: [%s], refresh_interval: 1s}]}\n"
JOBS = ("distill-server", "distill-worker")
# What Grafana puts in for the variables; All, but for the two scrape jobs by name.
_VARIABLES = {"__rate_interval": "1m", "job": "distill-server|distill-worker", "instance": ".*", "project": ".*"}


def panels():
    """(dashboard, panel, legend, expression) of every query of every panel, as Grafana would send it."""
    found = []
    for path in sorted(glob.glob(os.path.join(SOURCE_DIR, "deploy", "grafana", "*.json"))):
        with open(path, encoding="utf-8") as file:
            board = json.load(file)
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                expression = re.sub(r"\$(\w+)", lambda match: _VARIABLES[match.group(1)], target["expr"])
                found.append((board["title"], panel["title"], target["legendFormat"], expression))
    return found


class MonitoredTest(ProductTest):
    def setUp(self):
        super().setUp()
        if shutil.which("prometheus") is None:
            raise unittest.SkipTest("Debian's package prometheus is not installed")
        self.address = None

    def start_prometheus(self, rules=RULES):
        files = {job: self.product.path(f"{job}.json") for job in JOBS}
        for job in JOBS:
            self.scrape(job, {})
        config = _CONFIG % rules + "".join(_JOB % item for item in files.items())
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

    def scrape(self, job, targets):
        """From now on the scrape job has these targets, {instance: address}."""
        text = json.dumps([{"targets": [address], "labels": {"instance": name}} for name, address in targets.items()])
        os.replace(self.product.write(f"{job}.new", text), self.product.path(f"{job}.json"))

    def ask(self, path):
        """Prometheus's answer, or None while it starts."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=5) as reply:
                return json.load(reply)["data"]
        except OSError:
            return None

    def values(self, query):
        """The values of all series of a query; None when it is not accepted, or while Prometheus starts."""
        answer = self.ask("query?" + urllib.parse.urlencode({"query": query}))
        return None if answer is None else [float(series["value"][1]) for series in answer["result"]]

    def value(self, query):
        """The value of a query of one series, None while there is none."""
        return (self.values(query) or [None])[0]

    def finite_within(self, query, seconds):
        """Whether a query had a finite value at some moment of the last seconds."""
        end = float(self.ask("query?query=time()")["result"][1])
        answer = self.ask("query_range?" + urllib.parse.urlencode(
            {"query": query, "start": end - seconds, "end": end, "step": "1"}))
        return any(math.isfinite(float(value)) for series in answer["result"] for _, value in series["values"])

    def firing(self):
        """The names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}
