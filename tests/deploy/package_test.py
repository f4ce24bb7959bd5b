"""The Debian packages on a machine of their own: a bookworm made by debootstrap, with systemd as its first process. They are
installed, their services start by themselves, a job runs, a killed server is back, and after purging nothing is left."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest

from machine import ENVIRONMENT, PACKAGES, Machine, machine_root, make_packages, missing
from product import TINY_JOB, eventually, write_idx_dataset

# What a removed package may leave: the logs and caches of the system itself; /srv has the jobs of this test.
_OF_THE_SYSTEM = ("/srv/", "/proc", "/sys", "/dev", "/run", "/tmp", "/var/cache", "/var/log", "/var/lib/apt", "/var/lib/dpkg",
                  "/var/lib/systemd", "/etc/ld.so.cache", "/etc/.pwd.lock", "/etc/alternatives")


def files_of(root):
    """All paths of a system that are not the system's own business."""
    found = set()
    for folder, folders, names in os.walk(root):
        inside = folder[len(root):] or "/"
        folders[:] = [f for f in folders if not os.path.join(inside, f).startswith(_OF_THE_SYSTEM)]
        found |= {path for path in (os.path.join(inside, n) for n in names + folders) if not path.startswith(_OF_THE_SYSTEM)}
    return found


class PackageTest(unittest.TestCase):
    def setUp(self):
        if missing():
            self.skipTest(missing())
        self.folder = tempfile.mkdtemp(prefix="distill-machine-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.packages = make_packages(os.path.join(self.folder, "packages"))
        self.root = os.path.join(self.folder, "root")
        machine_root(self.root)

    def apt(self, *arguments):
        """Runs apt in the bare system, without starting anything."""
        run = subprocess.run(["chroot", self.root, "apt-get", "-y", "--no-install-recommends", *arguments], capture_output=True,
                             text=True, check=False, env=ENVIRONMENT)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_install_run_a_job_and_purge(self):
        inside = os.path.join(self.root, "packages")
        os.makedirs(inside)
        for package in self.packages:
            shutil.copy(package, inside)
        # What they depend on comes from the mirror, before; the machine itself has no network.
        dependencies = set()
        for package in self.packages:
            fields = subprocess.run(["dpkg-deb", "--field", package, "Depends"], capture_output=True, text=True, check=True)
            dependencies |= {d.split("|")[0].split("(")[0].strip() for d in fields.stdout.strip().split(",")}
        self.apt("update")
        self.apt("install", *sorted(dependencies))
        shutil.rmtree(os.path.join(self.root, "var", "cache", "apt", "archives"), ignore_errors=True)
        machine = Machine(self.root)
        self.addCleanup(machine.stop)
        machine.start()
        before = files_of(self.root)

        machine.run("bash", "-c", "dpkg --install /packages/*.deb")
        for service in ("distill-server", "distill-worker"):
            self.assertEqual(machine.run("systemctl", "is-active", service, check=False).stdout.strip(), "active",
                             machine.run("journalctl", "--no-pager", "-u", service, check=False).stdout[-4000:])
            self.assertEqual(machine.run("systemctl", "is-enabled", service).stdout.strip(), "enabled")
        status = machine.run("systemctl", "show", "--property=StatusText", "distill-server").stdout
        self.assertEqual(status.strip(), "StatusText=serves at 127.0.0.1:7700")
        self.run_a_job(machine, "first")

        # systemd brings back what dies, and what hangs; the state is there.
        machine.run("systemctl", "kill", "--signal=KILL", "distill-server")
        self.await_restart(machine)
        settings = "/run/systemd/system/distill-server.service.d"
        machine.run("bash", "-c", f"mkdir -p {settings} && printf '[Service]\nWatchdogSec=2\n' > {settings}/watchdog.conf")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "distill-server")
        machine.run("systemctl", "kill", "--signal=STOP", "distill-server")
        self.await_restart(machine)
        self.assertIn("Watchdog timeout", machine.run("journalctl", "--no-pager", "--unit", "distill-server").stdout)
        self.assertIn("succeeded", machine.run("distill", "--server", "127.0.0.1:7700", "job", "list").stdout.lower())
        self.run_a_job(machine, "second")

        began = time.monotonic()
        machine.run("systemctl", "stop", "distill-worker")
        self.assertLess(time.monotonic() - began, 30)
        machine.run("apt-get", "-y", "remove", *PACKAGES)
        self.assertTrue(os.path.exists(os.path.join(self.root, "var", "lib", "distill-server", "state.db")))
        self.assertTrue(os.path.exists(os.path.join(self.root, "etc", "distillery", "server.conf")))
        machine.run("apt-get", "-y", "purge", *PACKAGES)
        self.assertEqual(files_of(self.root) - before - {"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-"}, set())
        with open(os.path.join(self.root, "etc", "passwd"), encoding="utf-8") as file:
            self.assertNotIn("distill", file.read())
        self.assertEqual(machine.run("systemctl", "list-units", "--all", "distill*", "--no-legend").stdout.strip(), "")

    def await_restart(self, machine):
        eventually(lambda: machine.run("systemctl", "show", "--property=NRestarts", "--value", "distill-server")
                   .stdout.strip() == "1", "systemd starts it again")
        eventually(lambda: machine.run("systemctl", "is-active", "distill-server", check=False).stdout.strip() == "active",
                   "it serves again")

    def run_a_job(self, machine, name):
        data = os.path.join(self.root, "srv", name)
        write_idx_dataset(data)
        with open(os.path.join(self.root, "srv", f"{name}.yaml"), "w", encoding="utf-8") as file:
            file.write(TINY_JOB % f"/srv/{name}" + f"seed: {len(name)}\n")
        distill = ("distill", "--server", "127.0.0.1:7700")
        job = machine.run(*distill, "job", "submit", f"/srv/{name}.yaml").stdout.strip()
        machine.run(*distill, "job", "wait", job)


if __name__ == "__main__":
    unittest.main()
