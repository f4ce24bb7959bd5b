"""All of a large installation at once: two servers on one PostgreSQL, blobs in S3, certificates for everybody. The leader dies in
the middle of a job; afterwards the state is backed up, examined and restored elsewhere.

Run by tests/support/s3/s3_server.py, as object_store_test.py is.
"""

import json
import subprocess
import unittest

from authority import Authority
from object_store import ObjectStoreTestCase, calls
from postgres import start_postgres
from product import OK, TINY_JOB, Program, eventually, write_idx_dataset


class ProductionTest(ObjectStoreTestCase):
    def setUp(self):
        super().setUp()
        self.database = start_postgres(self)
        self.authority = Authority(self.product.path("ca"))
        self.authority.make("worker", "gpu-01")
        self.authority.make("user", "alice", "admin")
        self.servers = []

    def place(self, database, prefix):
        """Where the state lies, as servers and `distill admin` are told it."""
        return ["--postgres", database, *self.s3_flags(prefix)]

    def start_server(self, name, database, prefix):
        server = Program("distill-server", ["--listen", "127.0.0.1:0", "--state", "postgres", *self.place(database, prefix),
                                            *self.authority.server_flags()], self.product.path(name))
        self.addCleanup(server.stop)
        self.servers.append(server.await_ready())
        return server

    def alice(self, *arguments, servers=None):
        run = self.product.distill(*arguments, *self.authority.client_flags("user-alice"),
                                   server=",".join(server.grpc for server in servers or self.servers))
        self.assertEqual(run.returncode, OK, run.stderr + "".join(server.log()[-3000:] for server in self.servers))
        return run.stdout

    def admin(self, command, database, prefix, *arguments):
        run = self.product.distill("admin", command, "--data-dir", self.product.path("admin"), *self.place(database, prefix),
                                   *arguments, "-o", "json")
        self.assertEqual(run.returncode, OK, run.stdout + run.stderr)
        return json.loads(run.stdout)

    def new_database(self, name):
        subprocess.run(["psql", self.database, "-c", f"CREATE DATABASE {name}"], check=True, capture_output=True)
        return self.database.replace("dbname=postgres", f"dbname={name}")

    def run_with_a_dead_leader(self):
        leader, standby = (self.start_server(name, self.database, "live/") for name in ("one", "two"))
        worker = Program("distill-worker", ["--server", f"{leader.grpc},{standby.grpc}", "--slots", "1",
                                            *self.authority.client_flags("worker-gpu-01")], self.product.path("worker"))
        self.addCleanup(worker.stop)
        worker.await_ready()
        job_file = self.product.write("job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data")))
        job = self.alice("job", "submit", job_file).strip()

        def succeeded():
            tasks = json.loads(self.alice("task", "list", job, "-o", "json"))["tasks"]
            return sum(task["state"] == "TASK_STATE_SUCCEEDED" for task in tasks)
        eventually(lambda: succeeded() >= 3, "some tasks are done")
        leader.kill()
        self.servers.remove(leader)
        self.alice("job", "wait", job)
        self.assertIn("distill_server_leading 1", standby.get("/metrics"))
        self.assertGreater(calls(standby, "FinalizeUpload"), 0)
        self.assertEqual(calls(standby, "Upload"), 0)
        return job

    def test_a_dead_leader_a_backup_and_a_new_home(self):
        job = self.run_with_a_dead_leader()
        eventually(lambda: json.loads(self.alice("job", "report", job, "-o", "json"))["markdown_digest"], "a stored report")
        report = self.alice("job", "report", job)

        # The server runs on.
        backup = self.product.path("backup")
        made = self.admin("backup", self.database, "live/", "--to", backup)
        self.assertEqual((made["copied"], made["missing"]), (made["blobs"], 0))
        found = self.admin("doctor", self.database, "live/", "--verify")
        self.assertTrue(found["healthy"], found)
        self.assertEqual(found["verified_blobs"], found["blobs"])

        home = self.new_database("home")
        self.assertEqual(self.admin("restore", home, "home/", "--from", backup)["missing"], 0)
        server = self.start_server("three", home, "home/")
        self.assertEqual(self.alice("job", "report", job, servers=[server]), report)
        # What is stored later is unknown to a database of before.
        self.alice("artifact", "put", self.product.write("weights", "x" * 1000), "--type", "model", servers=[server])
        self.assertEqual(server.stop(), 0)
        before = self.new_database("before")
        self.admin("restore", before, "home/", "--from", backup)
        self.assertEqual(self.admin("gc", before, "home/"), {"blobs": 1, "bytes": 1000})
        self.assertEqual(self.admin("gc", before, "home/"), {"blobs": 0, "bytes": 0})


if __name__ == "__main__":
    unittest.main()
