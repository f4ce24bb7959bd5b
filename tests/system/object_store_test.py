"""A whole job whose blobs are in S3: worker and object store talk to each other directly, and the server keeps the keys.

Run by tests/support/s3/s3_server.py, which starts a real S3 server and tells where it is by the environment.
"""

import os
import unittest

from object_store import ObjectStoreTestCase, calls
from product import NOT_FOUND, OK, TINY_JOB, eventually, write_idx_dataset


class ObjectStoreTest(ObjectStoreTestCase):
    def start(self, *flags):
        return self.product.start_server(*self.s3_flags(), *flags)

    def run_job(self, *flags):
        job_file = self.product.write("job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data")))
        job = self.product.submit(job_file, *flags)
        run = self.product.distill("job", "wait", job)
        self.assertEqual(run.returncode, OK, run.stderr + self.product.workers[0].log())
        return job

    def test_a_job_past_the_server(self):
        server = self.start()
        worker = self.product.start_worker()
        self.run_job()
        self.assertGreater(calls(server, "FinalizeUpload"), 5)
        # A worker with nothing in its cache goes on from what the first one made.
        worker.stop()
        self.product.start_worker()
        job = self.run_job("--set", "finetune_student.epochs=2")
        self.assertGreater(calls(server, "LocateDownload"), 0)
        self.assertEqual(calls(server, "Upload"), 0)
        self.assertEqual(calls(server, "Download"), 0)
        secret = os.environ["AWS_SECRET_ACCESS_KEY"]
        for program in (server, *self.product.workers):
            self.assertNotIn(secret, program.log())
            self.assertNotIn("X-Amz-Signature", program.log())

        # People have no keys either: theirs go through the server, and so does what it makes itself.
        weights = self.product.write("weights", "x" * 3_000_000)
        run = self.product.distill("artifact", "put", weights, "--type", "model")
        self.assertEqual(run.returncode, OK, run.stderr)
        digest = run.stdout.split()[0]
        copy = self.product.path("copy")
        run = self.product.distill("artifact", "get", digest, "--file", copy)
        self.assertEqual(run.returncode, OK, run.stderr)
        with open(weights, "rb") as first, open(copy, "rb") as second:
            self.assertEqual(first.read(), second.read())
        self.assertEqual(self.product.distill("artifact", "get", "sha256:" + 64 * "0", "--file", copy).returncode,
                         NOT_FOUND)

        # All of it is still there for the next server. (The report is stored a moment after the job's end.)
        eventually(lambda: self.product.json("job", "report", job)["markdown_digest"], "a stored report")
        report = self.product.json("job", "report", job)
        server.stop()
        server = self.start()
        self.assertEqual(self.product.json("job", "report", job), report)

    def test_a_job_through_the_server(self):
        server = self.start("--s3-transfers", "server")
        self.product.start_worker()
        self.run_job()
        self.assertEqual(calls(server, "FinalizeUpload"), 0)
        self.assertGreater(calls(server, "Upload"), 5)

    def test_an_object_store_that_is_not_there_is_named(self):
        with self.assertRaises(AssertionError) as caught:
            self.product.start_server("--blobs", "s3", "--s3-endpoint", "http://127.0.0.1:1", "--s3-bucket", "some-bucket",
                                      "--s3-credentials-file", self.keys)
        self.assertIn("cannot open the object store at http://127.0.0.1:1", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
