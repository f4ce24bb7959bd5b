"""The product as a user runs it: a server and workers as real processes over one temporary folder, and the command line.

Tests derive from ProductTest. Programs are those of $DISTILL_BIN_DIR. Nothing waits for a fixed time: a program is ready
when its addresses file is there, and what else is awaited is looked at until it holds or a minute is over.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.request

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BIN_DIR = os.environ.get("DISTILL_BIN_DIR", os.path.join(SOURCE_DIR, "build", "release", "bin"))
_PATIENCE_SECONDS = 60
_LOG_TAIL_CHARACTERS = 6000

# Exit codes of `distill`, as docs/cli.md lists them.
OK, FAILED, USAGE, NOT_FOUND, NOT_ALLOWED, INVALID, EXHAUSTED, UNREACHABLE, CANCELLED = range(9)


def program(name):
    return os.path.join(BIN_DIR, name)


def eventually(condition, what, seconds=_PATIENCE_SECONDS):
    """Looks at `condition` until it gives something true, and returns that. Raises AssertionError when time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Program:
    """A running distill-server or distill-worker. `grpc` is empty for a worker. `environment`: variables besides ours."""

    def __init__(self, name, arguments, folder, http="127.0.0.1:0", environment=None):
        os.makedirs(folder, exist_ok=True)
        self.name = name
        self.data_dir = folder
        self.log_path = os.path.join(folder, "log")
        self._addresses = os.path.join(folder, "addresses")
        self.grpc = ""
        self.http = ""
        if os.path.exists(self._addresses):
            os.remove(self._addresses)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(name), "--data-dir", folder, "--http", http, "--addresses-file", self._addresses,
                 *arguments], stdout=log, stderr=log, env=dict(os.environ, OMP_NUM_THREADS="1", **(environment or {})))

    def await_ready(self):
        eventually(lambda: os.path.exists(self._addresses) or self.process.poll() is not None, f"{self.name} is ready")
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
        with open(self._addresses, encoding="ascii") as file:
            found = dict(line.strip().split("=", 1) for line in file)
        self.grpc, self.http = found.get("grpc", ""), found["http"]
        return self

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as reply:
            return reply.read().decode()

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))

    def stop(self):
        """Asks it to end, and waits. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()


class Product:
    """One folder with at most one server and any number of workers; all are ended by close()."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="distill-system-")
        self.server = None
        self.workers = []

    def close(self):
        for running in [*self.workers, self.server]:
            if running is not None and running.process.poll() is None:
                running.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start_server(self, *flags, data_dir=None, listen="127.0.0.1:0", http="127.0.0.1:0", environment=None):
        folder = data_dir or self.path("server")
        self.server = Program("distill-server", ["--listen", listen, *flags], folder, http, environment).await_ready()
        return self.server

    def restart_killed_server(self, *flags):
        """Kills the server as a machine does, and starts it again where it was: same data, same addresses."""
        killed = self.server
        killed.kill()
        return self.start_server(*flags, data_dir=killed.data_dir, listen=killed.grpc, http=killed.http)

    def start_worker(self, *flags):
        folder = self.path(f"worker-{len(self.workers) + 1}")
        worker = Program("distill-worker", ["--server", self.server.grpc, "--slots", "1", *flags], folder)
        self.workers.append(worker)
        return worker.await_ready()

    def distill(self, *arguments, server=None, timeout=120):
        """Runs the command line; returns the finished process with its two outputs as text."""
        environment = dict(os.environ, NO_COLOR="1", DISTILL_DATA_DIR=self.path("none"))
        environment["DISTILL_SERVER"] = server or (self.server.grpc if self.server else "127.0.0.1:1")
        try:
            return subprocess.run([program("distill"), *arguments], capture_output=True, text=True, timeout=timeout,
                                  env=environment, check=False)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"distill {' '.join(arguments)} took over {timeout} s\n{self.log_tails()}") from late

    def log_tails(self):
        """The last that the server and the workers logged, for a test that fails without their having ended."""
        running = [*([self.server] if self.server else []), *self.workers]
        return "\n".join(f"--- {one.data_dir}\n{one.log()[-_LOG_TAIL_CHARACTERS:]}" for one in running)

    def json(self, *arguments):
        run = self.distill(*arguments, "-o", "json")
        if run.returncode != OK:
            raise AssertionError(f"distill {' '.join(arguments)} ended with {run.returncode}: {run.stderr}")
        return json.loads(run.stdout)

    def submit(self, job_file, *flags):
        """Submits a job that must be accepted; returns its id."""
        run = self.distill("job", "submit", job_file, *flags)
        if run.returncode != OK:
            raise AssertionError(f"not accepted: {run.stderr}")
        return run.stdout.strip()

    def tasks(self, job):
        return self.json("task", "list", job)["tasks"]


class ProductTest(unittest.TestCase):
    """A test with a product of its own, and checks of what a command answered."""

    def setUp(self):
        self.product = Product()
        self.addCleanup(self.product.close)

    def assert_refused(self, run, exit_code, *parts):
        """The command ended with this code, put nothing on standard output, and named each part in its complaint."""
        self.assertEqual(run.returncode, exit_code, run.stdout + run.stderr)
        self.assertEqual(run.stdout, "")
        for part in parts:
            self.assertIn(part, run.stderr)


TINY_JOB = """\
display_name: tiny
dataset: {path: %s}
modules: 2
patch_size: 14
meta: {embed_dim: 8, heads: 2, depth: 2}
teacher: {embed_dim: 8, heads: 2, depth: 2}
student: {vit: {embed_dim: 8, heads: 2, depth: 2}}
pretrain_meta: {epochs: 1, batch_size: 20}
incubate_teacher: {epochs: 1, batch_size: 20}
finetune_teacher: {epochs: 1, batch_size: 20}
distill_modules: {epochs: 1, batch_size: 20}
finetune_student: {epochs: 1, batch_size: 20}
evaluation: {corruptions: [none], batch_size: 20}
"""


def write_idx_dataset(folder, train_labels=None, test_labels=None, side=28, classes=10):
    """Writes a data set whose pixels are a function of their place; by default 40 training and 20 test images."""
    os.makedirs(folder, exist_ok=True)
    for split, labels in (("train", train_labels or [i % classes for i in range(40)]),
                          ("t10k", test_labels or [i % classes for i in range(20)])):
        pixels = bytes(i * 37 % 256 for i in range(len(labels) * side * side))
        with open(os.path.join(folder, f"{split}-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">IIII", 0x803, len(labels), side, side) + pixels)
        with open(os.path.join(folder, f"{split}-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">II", 0x801, len(labels)) + bytes(labels))
    return folder
