"""Where faults happen: a server, workers and a small job, all real processes over a temporary folder, and the rules that must
hold after any fault."""

import collections
import glob
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "system"))
import product as products  # noqa: E402, from the folder just added

LEASE_SECONDS = 3
_SERVER_FLAGS = (f"--lease-seconds={LEASE_SECONDS}", "--heartbeat-seconds=0.2", "--max-retry-backoff-seconds=0.5",
                 "--quarantine-after-failures=0")  # Trainers are killed here on purpose.
_TRAIN_IMAGES = 320

_JOB = """\
dataset: {path: %s}
modules: 2
patch_size: 14
meta: {embed_dim: 16, heads: 2, depth: 2}
teacher: {embed_dim: 16, heads: 2, depth: 4}
student: {vmoe: {backbone: {embed_dim: 16, heads: 2, depth: 2}}}
pretrain_meta: {epochs: 4, batch_size: 16}
incubate_teacher: {epochs: 4, batch_size: 16}
finetune_teacher: {epochs: 4, batch_size: 16}
distill_modules: {epochs: 4, batch_size: 16}
finetune_student: {epochs: 4, batch_size: 16}
evaluation: {corruptions: [none]}
execution: {checkpoint_interval_seconds: 0.05, max_infrastructure_failures: 10000}
"""


def orphans(folder):
    """Trainers that work below the folder and whose worker is gone, by process id: nobody would ever end them."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
            place = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if name.startswith("distill-trainer") and parent == "1" and state != "Z" and place.startswith(folder):
            found.add(int(entry))
    return found


class Stage:
    """`address` of the server may be a proxy's: pass `through`, which gets the server's address and returns the one that the
    workers are to use. `server_environment` gets the server's folder and returns variables that it is to have besides."""

    def __init__(self, seed, workers=2, through=None, server_flags=(), server_environment=None):
        self.random = random.Random(seed)
        self.product = products.Product()
        self._flags = [*_SERVER_FLAGS, *server_flags]
        self._environment = server_environment(self.product.path("server")) if server_environment else {}
        try:
            data = products.write_idx_dataset(self.product.path("data"), [i % 10 for i in range(_TRAIN_IMAGES)],
                                              [i % 10 for i in range(100)])
            self.job_file = self.product.write("job.yaml", _JOB % data)
            self.server = self.product.start_server(*self._flags, environment=self._environment)
            self.worker_address = through(self.server.grpc) if through else self.server.grpc
            for _ in range(workers):
                self.start_worker()
            products.eventually(lambda: len(self.product.json("worker", "list")["workers"]) == workers, "workers are known")
        except BaseException:
            self.close()
            raise

    def close(self):
        self.product.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start_worker(self, name=None, flags=()):
        """A new worker, or one that has been here before."""
        name = name or f"worker-{len(self.product.workers) + 1}"
        worker = products.Program("distill-worker", ["--server", self.worker_address, "--slots", "1", *flags],
                                  self.product.path(name))
        self.product.workers.append(worker)
        return worker.await_ready()

    def restart_server(self, flags=()):
        """Starts the server again on the same folder and address."""
        begin = time.monotonic()
        self.server = self.product.start_server(*self._flags, *flags, listen=self.server.grpc,
                                                environment=self._environment)
        return time.monotonic() - begin

    def revive_worker(self, worker):
        """Starts a dead worker again on its folder."""
        self.product.workers.remove(worker)
        return self.start_worker(os.path.basename(worker.data_dir))

    def trainers(self):
        """Ids of the trainers of all workers."""
        ids = []
        for worker in self.product.workers:
            # Whichever thread started it.
            for children in glob.glob(f"/proc/{worker.process.pid}/task/*/children"):
                try:
                    with open(children, encoding="ascii") as file:
                        ids += [int(child) for child in file.read().split()]
                except OSError:
                    pass
        return ids

    def submit(self, *flags, server=None):
        run = self.product.distill("job", "submit", self.job_file, *flags, server=server)
        if run.returncode != products.OK:
            raise AssertionError(f"not accepted: {run.stderr}")
        return run.stdout.strip()

    def is_running(self, job):
        return not self.product.json("job", "get", job)["state"].endswith(("SUCCEEDED", "FAILED", "CANCELLED"))

    def while_running(self, job, strike, strikes, longest_pause=0.8):
        """Calls strike() after random pauses while the job runs, at most `strikes` times. Returns how often it was called."""
        struck = 0
        while struck < strikes:
            time.sleep(self.random.uniform(0, longest_pause))
            if not self.is_running(job):
                break
            struck += 1 if strike() is not False else 0
        return struck

    def digests(self, job):
        """What the job left, by task and output."""
        return {f"{task['id'].rsplit('/', 1)[-1]}/{result['name']}": result["digest"]
                for task in self.product.tasks(job) for result in task.get("results", [])}

    def finish(self, job):
        """Awaits the end of the job and returns what is wrong with it."""
        self.product.distill("job", "wait", job, timeout=300)
        wrong = []
        state = self.product.json("job", "get", job)["state"]
        if not state.endswith("SUCCEEDED"):
            wrong.append(f"the job is {state}")
        for task in self.product.tasks(job):
            winners = sum(attempt["state"] == "SUCCEEDED" for attempt in task["attempts"])
            if winners > 1 or (winners == 0 and not task.get("reused_from")):
                wrong.append(f"{task['id']} has {winners} winners")
        if self.digests(job) != undisturbed():
            wrong.append("its bits are not those of an undisturbed job")
        try:
            products.eventually(lambda: not self.false_metrics(), "metrics tell the truth", seconds=5)
        except AssertionError:
            wrong += self.false_metrics()
        return wrong

    def false_metrics(self):
        """What /metrics says of tasks, against what the database has. It may lag a moment."""
        counted = collections.Counter()
        for job in self.product.json("job", "list")["jobs"]:
            counted.update(task["state"].rsplit("_", 1)[-1].lower() for task in self.product.tasks(job["id"]))
        wrong = []
        for line in self.server.get("/metrics").splitlines():
            if line.startswith("distill_tasks{"):
                state = line.split('state="')[1].split('"')[0]
                counted[state] -= float(line.split()[-1])
        wrong += [f"metrics are off by {difference:g} {state} tasks" for state, difference in counted.items() if difference]
        return wrong

    def end(self):
        """Ends all in order and returns what is wrong: exit codes, and trainers left behind."""
        wrong = []
        for worker in self.product.workers:
            if worker.process.poll() is None and worker.stop() != 0:
                wrong.append(f"{os.path.basename(worker.data_dir)} ended with {worker.process.returncode}")
        if self.server.stop() != 0:
            wrong.append(f"the server ended with {self.server.process.returncode}")
        left = orphans(self.product.dir)
        if left:
            wrong.append(f"trainers are left: {sorted(left)}")
        return wrong


_undisturbed = {}
_undisturbed_lock = threading.Lock()


def undisturbed():
    """Digests of the job when nothing goes wrong; computed once."""
    with _undisturbed_lock:
        if not _undisturbed:
            with Stage(seed=0) as stage:
                job = stage.submit()
                if stage.product.distill("job", "wait", job, timeout=300).returncode != products.OK:
                    raise AssertionError(f"the undisturbed job failed:\n{json.dumps(stage.product.json('job', 'get', job))}")
                _undisturbed.update(stage.digests(job))
        return dict(_undisturbed)


def stop_for(process, seconds):
    """Freezes a process for a while."""
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)
