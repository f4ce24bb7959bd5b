"""The Debian packages on a machine of their own: a bookworm made by debootstrap, with systemd as its first process. They are
installed, their services start by themselves, a job runs, a killed server is back, and after purging nothing is left.

Needs root, the packages debootstrap and dpkg-dev, a Debian mirror, and the programs built. DISTILL_PACKAGE_ROOT names a folder where the bare system is kept between runs.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "system"))
from product import BIN_DIR, TINY_JOB, eventually, write_idx_dataset  # noqa: E402

_MIRROR = os.environ.get("DISTILL_MIRROR", "http://deb.debian.org/debian")
_NAMES = ("distillery-client", "distillery-server", "distillery-worker")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "HOME": "/root"}
_OF_THE_MACHINE = ("systemd", "dbus", "iproute2")
# What a removed package may leave: the logs and caches of the system itself; /srv has the jobs of this test.
_OF_THE_SYSTEM = ("/srv/", "/proc", "/sys", "/dev", "/run", "/tmp", "/var/cache", "/var/log", "/var/lib/apt", "/var/lib/dpkg",
                  "/var/lib/systemd", "/etc/ld.so.cache", "/etc/.pwd.lock", "/etc/alternatives")


def bare_system(folder, *packages):
    """A Debian with these packages in `folder`, unless one is there."""
    done = f"{folder}.done"
    if os.path.exists(done):
        return
    subprocess.run(["debootstrap", "--variant=minbase", *([f"--include={','.join(packages)}"] if packages else []), "bookworm",
                    folder, _MIRROR], check=True, stdout=subprocess.DEVNULL)
    shutil.copy("/etc/resolv.conf", os.path.join(folder, "etc", "resolv.conf"))
    with open(done, "w", encoding="ascii"):
        pass


def make_packages(folder):
    """Packages of the programs that are built, in `folder`. Returns their paths."""
    subprocess.run(["cpack", "--config", os.path.join(os.path.dirname(BIN_DIR), "CPackConfig.cmake"), "-B", folder], check=True,
                   stdout=subprocess.DEVNULL)
    found = sorted(glob.glob(os.path.join(folder, "distillery-*.deb")))
    if len(found) != len(_NAMES):
        raise AssertionError(f"cpack made {found}")
    return found


# Becomes the machine's first process. $1: its root, $2: its control group.
_BOOT = r"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
# The kernel's settings are those of the machine that runs the test.
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run dev tmp; do mount -t tmpfs -o mode=755 tmpfs $folder; done
chmod 1777 tmp
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
chmod 1777 dev/shm
for device in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"; done
mknod -m 666 dev/tty c 5 0
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
hostname machine
# Not chroot: whoever is in one may make no user namespaces.
pivot_root . .
umount -l .
exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=no --log-target=journal --log-level=warning
"""
# A group for all of the machine's processes, in which it sees itself as the root.
_ENCLOSE = r"""
set -e
mount -t cgroup2 cgroup2 /mnt
mkdir -p "/mnt/$2"
echo $$ > "/mnt/$2/cgroup.procs"
umount /mnt
exec unshare --pid --fork --kill-child --uts --ipc --cgroup --net --mount bash -c "$3" boot "$1" "$2"
"""
_REMOVE_GROUP = 'mount -t cgroup2 cgroup2 /mnt && [ ! -d "/mnt/$1" ] || find "/mnt/$1" -depth -type d -exec rmdir {} +'


class Machine:
    """A folder that runs as a machine: namespaces of its own, and systemd in them."""

    def __init__(self, root):
        self.root = root
        self.group = f"distill-machine-{os.getpid()}"
        self.init = None

    def start(self):
        self.log = open(f"{self.root}.log", "wb")
        self.init = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", _ENCLOSE, "enclose", self.root, self.group, _BOOT],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=dict(_ENVIRONMENT, container="distill-test"))
        self.pid = eventually(self._first_process, "the first process of the machine")
        eventually(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                   "systemd is up")
        self.run("ip", "link", "set", "lo", "up")

    def _first_process(self):
        with open(f"/proc/{self.init.pid}/task/{self.init.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        try:
            return children[0] if os.readlink(f"/proc/{children[0]}/exe").endswith("/systemd") else None
        except (IndexError, FileNotFoundError):
            return None

    def run(self, *command, check=True):
        run = subprocess.run(["nsenter", "--target", self.pid, "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup",
                              "--root", "--wdns=/", *command], capture_output=True, text=True, check=False, env=_ENVIRONMENT)
        if check and run.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
        return run

    def stop(self):
        if self.init is not None:
            self.init.kill()
            self.init.wait()
            self.log.close()
            eventually(lambda: subprocess.run(["unshare", "--mount", "bash", "-c", _REMOVE_GROUP, "remove", self.group],
                                              capture_output=True, check=False).returncode == 0, "its processes are gone")


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
        if os.getuid() != 0 or not all(shutil.which(p) for p in ("debootstrap", "dpkg-shlibdeps")):
            self.skipTest("needs root and Debian's packages debootstrap and dpkg-dev")
        self.folder = tempfile.mkdtemp(prefix="distill-machine-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.packages = make_packages(os.path.join(self.folder, "packages"))
        root = os.path.join(self.folder, "root")
        kept = os.environ.get("DISTILL_PACKAGE_ROOT")
        if kept:
            bare_system(kept, *_OF_THE_MACHINE)
            subprocess.run(["cp", "--archive", "--reflink=auto", kept, root], check=True)
        else:
            bare_system(root, *_OF_THE_MACHINE)
        self.root = root

    def apt(self, *arguments):
        """Runs apt in the bare system, without starting anything."""
        run = subprocess.run(["chroot", self.root, "apt-get", "-y", "--no-install-recommends", *arguments], capture_output=True,
                             text=True, check=False, env=_ENVIRONMENT)
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
        machine.run("apt-get", "-y", "remove", *_NAMES)
        self.assertTrue(os.path.exists(os.path.join(self.root, "var", "lib", "distill-server", "state.db")))
        self.assertTrue(os.path.exists(os.path.join(self.root, "etc", "distillery", "server.conf")))
        machine.run("apt-get", "-y", "purge", *_NAMES)
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
