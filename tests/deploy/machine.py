"""Machines for tests: a bookworm made by debootstrap in a folder, with systemd as its first process and namespaces of its own.

Needs root, the packages debootstrap and dpkg-dev, a Debian mirror, and the programs built. DISTILL_PACKAGE_ROOT names a folder
where the bare system is kept between runs.
"""

import glob
import os
import shutil
import subprocess
import sys

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "system"))
from product import BIN_DIR, eventually  # noqa: E402

PACKAGES = ("distillery-client", "distillery-server", "distillery-worker")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "HOME": "/root"}
_MIRROR = os.environ.get("DISTILL_MIRROR", "http://deb.debian.org/debian")
_OF_THE_MACHINE = ("systemd", "dbus", "iproute2")


def missing():
    """Why there can be no machines here; empty when there can."""
    can = os.getuid() == 0 and all(shutil.which(p) for p in ("debootstrap", "dpkg-shlibdeps"))
    return "" if can else "needs root and Debian's packages debootstrap and dpkg-dev"


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


def machine_root(root):
    """The system of a new machine in `root`."""
    kept = os.environ.get("DISTILL_PACKAGE_ROOT")
    if kept:
        bare_system(kept, *_OF_THE_MACHINE)
        subprocess.run(["cp", "--archive", "--reflink=auto", kept, root], check=True)
    else:
        bare_system(root, *_OF_THE_MACHINE)


def make_packages(folder):
    """Packages of the programs that are built, in `folder`. Returns their paths."""
    subprocess.run(["cpack", "--config", os.path.join(os.path.dirname(BIN_DIR), "CPackConfig.cmake"), "-B", folder], check=True,
                   stdout=subprocess.DEVNULL)
    found = sorted(glob.glob(os.path.join(folder, "distillery-*.deb")))
    if len(found) != len(PACKAGES):
        raise AssertionError(f"cpack made {found}")
    return found


# Becomes the machine's first process. $1: its root, $2: its control group, $3: its name.
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
hostname "$3"
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
exec unshare --pid --fork --kill-child --uts --ipc --cgroup --net --mount bash -c "$4" boot "$1" "$2" "$3"
"""
_REMOVE_GROUP = 'mount -t cgroup2 cgroup2 /mnt && [ ! -d "/mnt/$1" ] || find "/mnt/$1" -depth -type d -exec rmdir {} +'


class Machine:
    """A folder that runs as a machine: namespaces of its own, and systemd in them. Its network is a loopback, until wired."""

    def __init__(self, root, name="machine"):
        self.root = root
        self.name = name
        self.group = f"distill-{name}-{os.getpid()}"
        self.init = None

    def start(self):
        # An installer writes these.
        for file_name, text in (("hostname", f"{self.name}\n"), ("hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")):
            with open(os.path.join(self.root, "etc", file_name), "w", encoding="ascii") as file:
                file.write(text)
        self.log = open(f"{self.root}.log", "wb")
        self.init = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", _ENCLOSE, "enclose", self.root, self.group, self.name, _BOOT],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=dict(ENVIRONMENT, container="distill-test"))
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

    def run(self, *command, check=True, outside=False):
        """Runs a command in the machine; `outside`: with the network of who runs the test."""
        network = () if outside else ("--net",)
        run = subprocess.run(["nsenter", "--target", self.pid, "--mount", "--pid", "--uts", "--ipc", *network, "--cgroup",
                              "--root", "--wdns=/root", *command], capture_output=True, text=True, check=False, env=ENVIRONMENT)
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


def wire(first, first_address, second, second_address):
    """A cable between two machines. Addresses as "192.0.2.2/24"."""
    name = f"d{os.getpid()}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}x"], check=True)
    for machine, address, end in ((first, first_address, name), (second, second_address, f"{name}x")):
        subprocess.run(["ip", "link", "set", end, "netns", machine.pid, "name", "eth0"], check=True)
        machine.run("ip", "address", "add", address, "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
