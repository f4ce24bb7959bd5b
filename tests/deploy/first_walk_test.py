"""Types what docs/first-walk.md says on two machines that have never seen us: bookworms with systemd and a cable between them.
Within five minutes both work for one server, encrypted. Writes what came back, and after how long, to first-walk.txt.

Needs what machine.py needs.
"""

import os
import re
import shutil
import tempfile
import time
import unittest

from machine import SOURCE_DIR, Machine, machine_root, make_packages, missing, wire
from product import BIN_DIR

_ADDRESSES = {"control": "192.0.2.2", "gpu-01": "192.0.2.3"}
_BLOCK = re.compile(r"^<!-- not run: tests/deploy/first_walk_test\.py types it on (\S+) -->\n+```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FIVE_MINUTES = 300


class FirstWalkTest(unittest.TestCase):
    def setUp(self):
        if missing():
            self.skipTest(missing())
        self.folder = tempfile.mkdtemp(prefix="distill-walk-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        packages = make_packages(os.path.join(self.folder, "packages"))
        self.machines = {}
        for name in _ADDRESSES:
            root = os.path.join(self.folder, name)
            machine_root(root)
            for package in packages:
                shutil.copy(package, os.path.join(root, "root"))
            self.machines[name] = Machine(root, name)
            self.addCleanup(self.machines[name].stop)
            self.machines[name].start()
        control, worker = self.machines.values()
        wire(control, f"{_ADDRESSES['control']}/24", worker, f"{_ADDRESSES['gpu-01']}/24")

    def type(self, name, commands):
        # The machines have no network but the cable, which Debian's mirror is not at the end of.
        typed = self.machines[name].run("bash", "-euc", f"exec 2>&1\n{commands}", outside="apt-get" in commands, check=False)
        self.assertEqual(typed.returncode, 0, f"on {name}:\n{commands}\n{typed.stdout}")
        return typed.stdout

    def carry(self, name):
        """What the walk leaves to the reader: bringing a worker its three files."""
        ca = os.path.join(self.machines["control"].root, "root", "distill-ca")
        for file in ("ca.pem", f"worker-{name}.pem", f"worker-{name}.key"):
            shutil.copy(os.path.join(ca, file), os.path.join(self.machines[name].root, "root"))

    def test_the_walk(self):
        with open(os.path.join(SOURCE_DIR, "docs", "first-walk.md"), encoding="utf-8") as file:
            blocks = _BLOCK.findall(file.read())
        self.assertEqual({name for name, _ in blocks}, set(_ADDRESSES))
        transcript = []
        said = ""
        began = time.monotonic()
        for name, commands in blocks:
            if name == "gpu-01" and not os.path.exists(os.path.join(self.machines[name].root, "root", "ca.pem")):
                self.carry(name)
            start = time.monotonic()
            said = self.type(name, commands)
            now = time.monotonic()
            transcript.append(f"[{name}, {now - start:.1f} s, {now - began:.0f} s in all]\n{commands}\n{said}\n")
        with open(os.path.join(os.path.dirname(BIN_DIR), "first-walk.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(transcript))
        self.assertLess(time.monotonic() - began, _FIVE_MINUTES)
        self.assertRegex(said, r"(?s)control.*gpu-01|gpu-01.*control")


if __name__ == "__main__":
    unittest.main()
