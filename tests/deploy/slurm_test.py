"""deploy/slurm/workers.sbatch on a real Slurm of one node: an array of workers runs a job, and ends in order when cancelled."""

import os
import shutil
import subprocess
import sys
import unittest

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "system"))
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "bench"))
from product import OK, TINY_JOB, ProductTest, eventually, program, write_idx_dataset  # noqa: E402
from slurm_cluster import Cluster  # noqa: E402

_SCRIPT = os.path.join(SOURCE_DIR, "deploy", "slurm", "workers.sbatch")


class SlurmTest(ProductTest):
    def setUp(self):
        super().setUp()
        if os.getuid() != 0 or not all(shutil.which(p) for p in ("slurmctld", "slurmd", "munged", "sbatch", "srun")):
            self.skipTest("needs root and Debian's packages slurmctld, slurmd, slurm-client and munge")

    def test_an_array_of_workers_runs_a_job(self):
        server = self.product.start_server("--lease-seconds", "6")
        os.makedirs(self.product.path("slurm"))
        with Cluster(self.product.path("slurm")) as slurm:
            workers = self.product.path("workers")
            os.makedirs(workers)
            submitted = slurm.run(
                "sbatch", "--parsable", "--array=1-2", f"--chdir={workers}",
                f"--export=ALL,TMPDIR={workers},DISTILL_SERVER={server.grpc},DISTILL_WORKER={program('distill-worker')}",
                _SCRIPT)
            self.assertEqual(submitted.returncode, 0, submitted.stderr)
            array = submitted.stdout.strip()
            listed = eventually(lambda: self.workers_once(2), "two workers are there")
            self.assertEqual({worker["info"]["labels"]["slurm_job"] for worker in listed}, {array})
            job = self.product.submit(self.product.write(
                "job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data"))))
            self.assertEqual(self.product.distill("job", "wait", job).returncode, OK)

            # A long job, which the array leaves in the middle: its work comes back as handed over, not as lost.
            data = write_idx_dataset(self.product.path("more"), [i % 10 for i in range(20000)])
            long_job = self.product.submit(self.product.write("long.yaml", (TINY_JOB % data).replace("epochs: 1", "epochs: 9")))
            eventually(lambda: any(t["state"] == "TASK_STATE_RUNNING" for t in self.product.tasks(long_job)), "it runs")
            self.assertEqual(slurm.run("scancel", array).returncode, 0)
            eventually(lambda: not slurm.run("squeue", "--noheader").stdout.strip(), "the array is gone")
            metrics = server.get("/metrics")
            self.assertIn("\ndistill_lease_expirations_total 0\n", metrics)
            self.assertIn('cause="preempted"', metrics)
            for element in (1, 2):
                with open(os.path.join(workers, f"distill-worker-{array}_{element}.log"), encoding="utf-8") as file:
                    self.assertIn("worker ended", file.read())
            self.product.distill("job", "cancel", long_job)

    def workers_once(self, count):
        workers = self.product.json("worker", "list").get("workers", [])
        return workers if len(workers) == count else None

    def test_the_script_says_what_it_misses(self):
        run = subprocess.run(["bash", _SCRIPT], capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("DISTILL_SERVER", run.stderr)


if __name__ == "__main__":
    unittest.main()
