"""Runs the commands of the README and of docs/: every fenced block marked `sh`, file by file, in one shell session each.

The session's folder looks like a clone with a finished build; `distill dev` runs in it, and job.yaml is a small job. A block
that must not be run says why in the line above it: <!-- not run: reason -->.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import unittest

from product import BIN_DIR, SOURCE_DIR, ProductTest, eventually, program

_BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?```(?:sh|bash|shell)\n(?P<commands>.*?)^```$",
                    re.MULTILINE | re.DOTALL)


def blocks(path):
    """The blocks of one document: (line, commands, why it is not run or None)."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return [(text.count("\n", 0, found.start("commands")), found["commands"], found["reason"])
            for found in _BLOCK.finditer(text)]


class DocsCommandsTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.clone = self.product.path("clone")
        shutil.copytree(os.path.join(SOURCE_DIR, "deploy"), os.path.join(self.clone, "deploy"))
        shutil.copy(os.path.join(SOURCE_DIR, "deploy", "jobs", "tiny.yaml"), os.path.join(self.clone, "job.yaml"))
        os.makedirs(os.path.join(self.clone, "build", "release"))
        os.symlink(BIN_DIR, os.path.join(self.clone, "build", "release", "bin"))
        self.environment = dict(os.environ, PATH=f"{BIN_DIR}:{os.environ['PATH']}", NO_COLOR="1")
        for name in ("DISTILL_SERVER", "DISTILL_DATA_DIR"):
            self.environment.pop(name, None)

    def start_dev(self):
        with open(self.product.path("dev.log"), "wb") as log:
            fleet = subprocess.Popen([program("distill"), "dev", "--workers", "2"], cwd=self.clone, stdout=log, stderr=log,
                                     env=self.environment)
        self.addCleanup(fleet.wait)
        self.addCleanup(fleet.send_signal, signal.SIGINT)
        eventually(lambda: os.path.exists(os.path.join(self.clone, ".distill", "addresses")), "distill dev is ready")

    def test_every_block(self):
        self.start_dev()
        run = 0
        documents = [os.path.join(SOURCE_DIR, "README.md"), os.path.join(SOURCE_DIR, "deploy", "README.md"),
                     *sorted(glob.glob(os.path.join(SOURCE_DIR, "docs", "*.md")))]
        for document in documents:
            for line, commands, reason in blocks(document):
                with self.subTest(place=f"{os.path.relpath(document, SOURCE_DIR)}:{line}"):
                    if reason is None:
                        shell = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=self.clone, timeout=300,
                                               env=self.environment, capture_output=True, text=True, check=False)
                        self.assertEqual(shell.returncode, 0, f"{commands}\n{shell.stdout}\n{shell.stderr}")
                        run += 1
        self.assertGreater(run, 1, "blocks are not found")


if __name__ == "__main__":
    unittest.main()
