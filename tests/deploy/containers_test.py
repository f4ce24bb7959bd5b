"""The container files with buildah, which needs no engine: images of server, worker and command line are built from packages,
on a Debian made by debootstrap, and a job runs in them.

Needs root, the packages buildah, debootstrap and dpkg-dev, and a Debian mirror. DISTILL_PACKAGE_ROOT names a folder where the
bare system is kept between runs.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

from machine import bare_system, make_packages
from product import SOURCE_DIR, TINY_JOB, eventually, write_idx_dataset
from units_test import run

_FILE = os.path.join(SOURCE_DIR, "deploy", "containers", "Containerfile")


class ContainersTest(unittest.TestCase):
    def setUp(self):
        if os.getuid() != 0 or not all(shutil.which(p) for p in ("buildah", "debootstrap", "dpkg-shlibdeps")):
            self.skipTest("needs root and Debian's packages buildah, debootstrap and dpkg-dev")
        self.folder = tempfile.mkdtemp(prefix="distill-containers-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.remove_all)

    def buildah(self, *arguments):
        """Keeps all that it stores in the test's folder."""
        done = run("buildah", "--storage-driver", "vfs", "--root", os.path.join(self.folder, "storage"),
                   "--runroot", os.path.join(self.folder, "run"), *arguments)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        return done.stdout.strip()

    def remove_all(self):
        run("buildah", "--storage-driver", "vfs", "--root", os.path.join(self.folder, "storage"),
            "--runroot", os.path.join(self.folder, "run"), "rm", "--all")

    def base_image(self):
        root = os.environ.get("DISTILL_PACKAGE_ROOT", os.path.join(self.folder, "root")) + "-image"
        bare_system(root)
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, root, "/")
        self.buildah("commit", "--quiet", "--rm", container, "localhost/base")

    def start(self, image, *command):
        """Runs an image's program in this machine's network; returns the process."""
        container = self.buildah("from", f"localhost/{image}")
        log = open(os.path.join(self.folder, f"{image}.log"), "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ["buildah", "--storage-driver", "vfs", "--root", os.path.join(self.folder, "storage"),
             "--runroot", os.path.join(self.folder, "run"), "run", "--isolation", "chroot", "--volume",
             f"{self.folder}/data:/srv/datasets", container, "--", *command], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def test_a_job_runs_in_the_images(self):
        self.base_image()
        packages = os.path.join(self.folder, "packages")
        make_packages(packages)
        for target in ("server", "worker", "client"):
            self.buildah("build", "--quiet", "--isolation", "chroot", "--format", "docker", "--file", _FILE, "--target", target,
                         "--build-arg", "BASE=localhost/base", "--tag", f"localhost/distillery-{target}", packages)
        write_idx_dataset(os.path.join(self.folder, "data", "tiny"))
        with open(os.path.join(self.folder, "data", "job.yaml"), "w", encoding="utf-8") as file:
            file.write(TINY_JOB % "/srv/datasets/tiny")
        addresses = os.path.join(self.folder, "data", "addresses")
        os.chmod(os.path.dirname(addresses), 0o777)
        self.start("distillery-server", "distill-server", "--data-dir", "/var/lib/distill-server", "--listen", "127.0.0.1:0",
                   "--http", "127.0.0.1:0", "--addresses-file", "/srv/datasets/addresses")
        eventually(lambda: os.path.exists(addresses), "the server is ready")
        with open(addresses, encoding="ascii") as file:
            found = dict(line.strip().split("=", 1) for line in file)
        self.start("distillery-worker", "distill-worker", "--data-dir", "/var/lib/distill-worker", "--server", found["grpc"],
                   "--slots", "1")
        client = self.start("distillery-client", "distill", "--server", found["grpc"], "job", "submit", "/srv/datasets/job.yaml",
                            "--watch")
        client.wait(120)
        with open(os.path.join(self.folder, "distillery-client.log"), encoding="utf-8") as file:
            self.assertEqual(client.returncode, 0, file.read())
        with urllib.request.urlopen(f"http://{found['http']}/metrics", timeout=5) as page:
            self.assertIn("\ndistill_leases_granted_total 18\n", page.read().decode())


if __name__ == "__main__":
    unittest.main()
