"""What was synced stays, and what was not is gone, when a program loses power."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import power_faults  # noqa: E402, from the folder just added
import power_loss  # noqa: E402

# What the programs of the tests begin with; they run in the folder, and end as power does: without notice.
_PRELUDE = """
import os, signal
def put(name, data, offset=0, flags=0):
    file = os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o644)
    os.pwrite(file, data, offset)
    return file
def sync(name):
    os.fsync(os.open(name, os.O_RDONLY))
"""
_END = "\nos.kill(os.getpid(), signal.SIGKILL)\n"


class PowerLossTest(unittest.TestCase):

    def setUp(self):
        top = tempfile.mkdtemp(prefix="distill-power-")
        self.addCleanup(shutil.rmtree, top)
        self.folder = os.path.join(top, "folder")
        os.mkdir(self.folder)
        self.loss = power_loss.PowerLoss(power_faults.library(), self.folder, os.path.join(top, "journal"))

    def run_program(self, program):
        run = subprocess.run([sys.executable, "-c", _PRELUDE + program + _END], cwd=self.folder, capture_output=True, text=True,
                             env=dict(os.environ, **self.loss.environment()), timeout=60, check=False)
        self.assertEqual(run.stderr, "")

    def files(self):
        """What is there, by path; folders have no content."""
        found = {}
        for folder, folders, names in os.walk(self.folder):
            found.update({os.path.relpath(os.path.join(folder, name), self.folder): None for name in folders})
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.folder)] = file.read()
        return found

    def test_synced_bytes_stay_and_later_ones_are_gone(self):
        self.run_program("file = put('a', b'synced')\nos.fsync(file)\nsync('.')\nos.pwrite(file, b'XX', 1)\nos.pwrite(file, b'longer', 6)")
        self.assertEqual(self.files(), {"a": b"sXXcedlonger"})
        self.assertEqual(self.loss.lose(), (2, 0))
        self.assertEqual(self.files(), {"a": b"synced"})

    def test_a_name_needs_a_sync_of_its_folder(self):
        self.run_program("os.fsync(put('a', b'a'))\nsync('.')\nos.fsync(put('b', b'b'))\nos.mkdir('c')\nos.fsync(put('c/d', b'd'))\nsync('c')")
        self.loss.lose()
        self.assertEqual(self.files(), {"a": b"a"})

    def test_bytes_need_a_sync_of_their_file(self):
        self.run_program("put('a', b'a')\nsync('.')")
        self.loss.lose()
        self.assertEqual(self.files(), {"a": b""})

    def test_moves_and_removals_are_undone(self):
        begin = "for name in 'abc': os.fsync(put(name, name.encode()))\nos.mkdir('d')\nsync('.')\n"
        self.run_program(begin + "os.rename('a', 'b')\nos.unlink('c')\nos.rmdir('d')\nput('c', b'new')")
        self.assertEqual(self.files(), {"b": b"a", "c": b"new"})
        self.loss.lose()
        self.assertEqual(self.files(), {"a": b"a", "b": b"b", "c": b"c", "d": None})
        self.run_program("os.rename('a', 'b')\nos.unlink('c')\nos.rmdir('d')\nsync('.')")
        self.loss.lose()
        self.assertEqual(self.files(), {"b": b"a"})

    def test_a_move_is_safe_with_the_folder_that_it_leads_to(self):
        begin = "os.mkdir('from')\nos.mkdir('to')\nsync('.')\nos.fsync(put('from/a', b'a'))\n"
        self.run_program(begin + "sync('from')\nos.rename('from/a', 'to/a')\nsync('from')")
        self.loss.lose()
        self.assertEqual(self.files(), {"from": None, "to": None, "from/a": b"a"})
        self.run_program("os.rename('from/a', 'to/a')\nsync('to')")
        self.loss.lose()
        self.assertEqual(self.files(), {"from": None, "to": None, "to/a": b"a"})

    def test_truncations_are_undone(self):
        self.run_program("file = put('a', b'0123456789')\nos.fsync(file)\nsync('.')\nos.ftruncate(file, 4)\nos.pwrite(file, b'x', 8)\n"
                         "put('a', b'new', flags=os.O_TRUNC)")
        self.loss.lose()
        self.assertEqual(self.files(), {"a": b"0123456789"})

    def test_what_failed_is_not_undone(self):
        self.run_program("os.fsync(put('a', b'a'))\nos.mkdir('b')\nos.fsync(put('b/c', b'c'))\nsync('.')\nsync('b')\n"
                         "for call in (lambda: os.rmdir('b'), lambda: os.mkdir('a'), lambda: os.rename('b', 'a')):\n"
                         "    try: call()\n    except OSError: pass\n    else: raise AssertionError")
        self.assertEqual(self.loss.lose(), (0, 0))
        self.assertEqual(self.files(), {"a": b"a", "b": None, "b/c": b"c"})

    def test_a_killed_program_loses_nothing_while_power_stays(self):
        self.run_program("put('a', b'a')")
        with open(self.loss.environment()["DISTILL_POWER_LOSS_JOURNAL"], "ab") as journal:
            journal.write(b"\1\0")  # A record that was cut short.
        self.loss.forgive()
        self.assertEqual(self.files(), {"a": b"a"})
        self.run_program("put('b', b'b')\nsync('b')")
        self.loss.lose()
        self.assertEqual(self.files(), {})

    def test_of_unsynced_writes_any_may_stay(self):
        program = "file = put('a', b'....')\nos.fsync(file)\nsync('.')\n"
        program += "for data, offset in ((b'11', 0), (b'22', 1), (b'33', 2), (b'44', 5)): os.pwrite(file, data, offset)"
        seen = set()
        for seed in range(40):
            self.run_program(program)
            self.loss.lose(random.Random(seed))
            seen.add(self.files()["a"])
            shutil.rmtree(self.folder)
            os.mkdir(self.folder)
        possible = set()
        for survivors in range(16):
            content = bytearray(b"....")
            for number, (data, offset) in enumerate(((b"11", 0), (b"22", 1), (b"33", 2), (b"44", 5))):
                if survivors >> number & 1:
                    content.extend(bytes(max(0, offset + 2 - len(content))))
                    content[offset:offset + 2] = data
            possible.add(bytes(content))
        self.assertLessEqual(seen, possible)
        self.assertGreater(len(seen), 8)


if __name__ == "__main__":
    unittest.main()
