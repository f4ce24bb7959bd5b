"""A disk that fills up under a server: uploads are refused, nothing acknowledged is lost, and the job ends once there is
room again. The disk is a file system in memory that only this test sees."""

import os
import subprocess
import tempfile
import unittest

from product import EXHAUSTED, OK, TINY_JOB, ProductTest, eventually, write_idx_dataset

_DISK_BYTES = 16 << 20
# Exit code of distill-server.
_STORE_FAILED = 5
# What the server's metrics say once it has refused a call for lack of space.
_REFUSED = 'grpc_code="RESOURCE_EXHAUSTED"'


class DiskFullTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.disk = tempfile.mkdtemp(prefix="distill-disk-")
        self.addCleanup(os.rmdir, self.disk)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", self.disk],
                               capture_output=True, text=True, check=False)
        if mount.returncode != 0:
            self.skipTest(f"may not mount a file system: {mount.stderr.strip()}")
        self.addCleanup(self.unmount)

    def unmount(self):
        self.product.close()
        subprocess.run(["umount", self.disk], check=True)

    def fill(self):
        """Takes all space there is; returns the file to remove."""
        path = os.path.join(self.disk, "filler")
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                return path

    def test_a_job_survives_a_full_disk(self):
        product = self.product
        product.start_server("--min-free-disk-bytes", "0", data_dir=os.path.join(self.disk, "server"))
        job_file = product.write("job.yaml", TINY_JOB % write_idx_dataset(product.path("data")))
        first = product.submit(job_file)
        product.start_worker()
        self.assertEqual(product.distill("job", "wait", first).returncode, OK)
        report = product.json("job", "report", first)

        second = product.submit(job_file, "--set", "seed=1")
        filler = self.fill()
        # Either an upload is refused, and the worker keeps what it has; or the state store cannot commit, and the
        # server stops, since it must not go on with what is not on disk.
        server = product.server
        eventually(lambda: server.process.poll() is not None or _REFUSED in server.get("/metrics"), "the disk is full")
        os.remove(filler)
        if server.process.poll() is not None:
            self.assertEqual(server.process.returncode, _STORE_FAILED, server.log())
            self.assertIn("disk is full", server.log())
            product.start_server("--min-free-disk-bytes", "0", data_dir=server.data_dir, listen=server.grpc)
        run = product.distill("job", "wait", second)
        self.assertEqual(run.returncode, OK, run.stderr)
        self.assertEqual(product.json("job", "report", first), report)

    def test_uploads_are_refused_by_name_before_the_disk_is_full(self):
        product = self.product
        product.start_server("--min-free-disk-bytes", str(_DISK_BYTES), data_dir=os.path.join(self.disk, "server"))
        run = product.distill("artifact", "put", product.write("weights", "x"), "--type", "model")
        self.assert_refused(run, EXHAUSTED, "disk")
        self.assertEqual(product.json("artifact", "list")["artifacts"], [])


if __name__ == "__main__":
    unittest.main()
