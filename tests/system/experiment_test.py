"""An experiment from its file to its tables, interrupted and taken up again."""

import csv
import os
import signal
import subprocess
import unittest

from product import INVALID, OK, TINY_JOB, ProductTest, eventually, program, write_idx_dataset

EXPERIMENT = """\
name: small
title: Two weights, two seeds
base: job.yaml
seeds: [0, 1]
set: {baselines: [finetune_images]}
grid: {distillation.alpha: [0.5, 0.9]}
compare:
  - {model: student, against: baseline B1, claim: higher}
  - {model: student, across: distillation.alpha}
"""


class ExperimentTest(ProductTest):
    def setUp(self):
        super().setUp()
        path = write_idx_dataset(self.product.path("data"))
        self.product.write("job.yaml", TINY_JOB % path)
        self.file = self.product.write("experiment.yaml", EXPERIMENT)
        self.output = self.product.path("results")
        self.product.start_server()

    def run_it(self, *flags):
        return self.product.distill("experiment", "run", self.file, "--output-dir", self.output, *flags, timeout=300)

    def read(self, name):
        with open(os.path.join(self.output, name), encoding="utf-8") as file:
            return file.read()

    def test_from_the_file_to_the_tables(self):
        dry = self.run_it("--dry-run")
        self.assertEqual(dry.returncode, OK, dry.stderr)
        self.assertEqual(self.product.json("job", "list")["jobs"], [])

        # Ctrl-C leaves the jobs alone; the same command finds them again.
        command = [program("distill"), "--server", self.product.server.grpc, "experiment", "run", self.file,
                   "--output-dir", self.output]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
            eventually(lambda: os.path.exists(os.path.join(self.output, "runs.json")), "all jobs are submitted")
            first.send_signal(signal.SIGINT)
        self.assertEqual(len(self.product.json("job", "list")["jobs"]), 4)
        self.product.start_worker()
        run = self.run_it()
        self.assertEqual(run.returncode, OK, run.stderr)
        self.assertEqual(len(self.product.json("job", "list")["jobs"]), 4)
        self.assertIn("4 of 4 jobs", run.stderr)

        page = self.read("report.md")
        for part in ("Two weights, two seeds", "distillation.alpha=0.9", "baseline B1", "Paired differences",
                     "accuracy-iid.svg | sha256:"):
            self.assertIn(part, page)
        job_rows = [line for line in page.splitlines() if "| succeeded |" in line]
        self.assertEqual(len(job_rows), 4)
        for row in job_rows:
            self.assertRegex(row, r"\| sha256:[0-9a-f]{64} \|$", "each job's report is stored and named")
        rows = list(csv.DictReader(self.read("results.csv").splitlines()))
        self.assertEqual({row["seed"] for row in rows}, {"0", "1"})
        self.assertTrue(self.read("accuracy-iid.svg").startswith("<svg"))
        jobs = self.product.json("job", "list")["jobs"]
        self.assertGreater(sum(job["tasks_reused"] for job in jobs), 0, "equal tasks run once")

        before = page
        os.remove(os.path.join(self.output, "report.md"))
        self.assertEqual(self.product.distill("experiment", "report", self.output).returncode, OK)
        self.assertEqual(self.read("report.md"), before)

    def test_bad_files(self):
        self.product.write("experiment.yaml", EXPERIMENT.replace("distillation.alpha", "distillation.alfa"))
        self.assert_refused(self.run_it(), INVALID, "alfa")
        self.product.write("experiment.yaml", EXPERIMENT.replace("seeds: [0, 1]", "seeds: zero"))
        self.assert_refused(self.run_it(), INVALID, "experiment.yaml:4:", "seeds")
        self.product.write("experiment.yaml", EXPERIMENT.replace("[0.5, 0.9]", "[7]"))
        self.assert_refused(self.run_it(), INVALID, "distillation.alpha")


if __name__ == "__main__":
    unittest.main()
