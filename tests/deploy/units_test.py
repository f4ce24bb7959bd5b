"""The systemd units: systemd takes them, they may do no more than they need, and the settings they come with are valid."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "system"))
from product import OK, USAGE, ProductTest, program  # noqa: E402 (the path comes first)

_UNITS = os.path.join(SOURCE_DIR, "deploy", "systemd")
# The most that `systemd-analyze security` may find, of 100.
_EXPOSURE = {"distill-server": 15, "distill-worker": 25}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def certificates(folder):
    """Makes those of a pair of servers and of workers in `folder`, under the names that settings use. Returns the folder."""
    for command in (["init"], ["server", "distillery-server-a", "distillery-server-b", "127.0.0.1"], ["worker", "k8s"]):
        made = run(os.path.join(SOURCE_DIR, "deploy", "ca", "ca.sh"), "--dir", folder, *command)
        if made.returncode != 0:
            raise AssertionError(made.stderr)
    for ending in ("pem", "key"):
        os.rename(os.path.join(folder, f"worker-k8s.{ending}"), os.path.join(folder, f"worker.{ending}"))
    return folder


class UnitsTest(unittest.TestCase):
    def setUp(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("Debian's package systemd is not installed")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_systemd_takes_them(self):
        for name in _EXPOSURE:
            with open(os.path.join(_UNITS, f"{name}.service"), encoding="utf-8") as file:
                text = file.read()
            unit = os.path.join(self.folder, f"{name}.service")
            with open(unit, "w", encoding="utf-8") as file:
                file.write(text.replace("ExecStart=/usr/bin/", f"ExecStart={os.path.dirname(program(name))}/"))
            check = run("systemd-analyze", "verify", "--man=no", unit)
            self.assertEqual((check.returncode, check.stdout + check.stderr), (0, ""))

    def test_they_may_do_little(self):
        for name, most in _EXPOSURE.items():
            check = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}",
                        os.path.join(_UNITS, f"{name}.service"))
            self.assertEqual(check.returncode, 0, check.stdout)

    def test_users_and_folders_can_be_made(self):
        for kind in ("sysusers", "tmpfiles"):
            os.makedirs(os.path.join(self.folder, "usr", "lib", f"{kind}.d"))
            for path in glob.glob(os.path.join(_UNITS, f"*.{kind}")):
                name = os.path.basename(path).replace(f".{kind}", ".conf")
                shutil.copy(path, os.path.join(self.folder, "usr", "lib", f"{kind}.d", name))
        os.makedirs(os.path.join(self.folder, "etc"))
        made = run("systemd-sysusers", f"--root={self.folder}")
        self.assertEqual(made.returncode, 0, made.stderr)
        with open(os.path.join(self.folder, "etc", "passwd"), encoding="utf-8") as file:
            users = {line.split(":")[0]: line.split(":")[5] for line in file}
        self.assertEqual(users, {name: f"/var/lib/{name}" for name in _EXPOSURE})


class SettingsTest(ProductTest):
    def test_the_servers_settings_are_valid(self):
        check = run(program("distill-server"), "--config", os.path.join(_UNITS, "server.conf"), "--print-config")
        self.assertEqual(check.returncode, OK, check.stderr)
        self.assertIn("data-dir = /var/lib/distill-server\n", check.stdout)

    def with_all(self, name):
        """The settings with what is commented out, and certificates that are there."""
        with open(os.path.join(_UNITS, name), encoding="utf-8") as file:
            lines = [line[2:] if line.startswith("# ") and " = " in line else line for line in file]
        folder = certificates(self.product.path("tls"))
        text = re.sub(r"/etc/distillery/(?=\w+\.(?:pem|key)$)", f"{folder}/", "".join(lines), flags=re.MULTILINE)
        return self.product.write(name, text)

    def test_what_is_commented_out_is_valid_too(self):
        check = run(program("distill-server"), "--config", self.with_all("server.conf"), "--check-config")
        self.assertEqual(check.returncode, OK, check.stderr)

    def test_a_worker_starts_with_its_settings(self):
        self.product.start_server()
        worker = self.product.start_worker("--config", self.with_all("worker.conf"))
        self.assertIn("distill_worker_registered", worker.get("/metrics"))
        self.assertEqual(worker.stop(), 0)

    def test_a_setting_that_does_not_exist_is_refused(self):
        path = self.product.write("wrong.conf", "data-dir = /tmp/x\nlisten-on = 127.0.0.1:7700\n")
        for name in ("distill-server", "distill-worker"):
            check = run(program(name), "--config", path)
            self.assertEqual(check.returncode, USAGE, check.stdout + check.stderr)
            self.assertIn("listen-on", check.stderr)


if __name__ == "__main__":
    unittest.main()
