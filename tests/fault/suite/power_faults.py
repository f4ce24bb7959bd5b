"""Machines that lose power: all that the server had not synced is gone, and what it had acknowledged must not be."""

import os
import shutil
import threading
import time

from power_loss import PowerLoss
from registry import Missing, fault
from stage import Stage, products


def library():
    """What is loaded into a program that is to lose power."""
    path = os.path.join(os.path.dirname(products.BIN_DIR), "test_bin", "libpower_loss.so")
    if not os.path.exists(path):
        raise Missing(path)
    return path


class Witness:
    """Changes things on a stage's server, and remembers what it acknowledged."""

    def __init__(self, stage, job):
        self._stage = stage
        self._job = job
        self._jobs = set()
        self._cancelled = set()
        self._results = {}
        self._ended = threading.Event()
        self._thread = None

    def begin(self):
        """From now on jobs are submitted one after the other."""
        self._results.update(self._succeeded())
        self._ended.clear()
        self._thread = threading.Thread(target=self._submit)
        self._thread.start()

    def end(self):
        """Returns what is lost of all that was ever acknowledged. The server must be there again."""
        self._ended.set()
        self._thread.join()
        states = {job["id"]: job["state"].rsplit("_", 1)[-1] for job in self._stage.product.json("job", "list")["jobs"]}
        lost = [f"an acknowledged job is gone: {job}" for job in self._jobs if job not in states]
        lost += [f"an acknowledged cancellation is gone: {job} is {states.get(job)}"
                 for job in self._cancelled if states.get(job) not in ("CANCELLING", "CANCELLED")]
        now = self._succeeded()
        lost += [f"the result of {task} was {results} and is {now.get(task)}"
                 for task, results in self._results.items() if now.get(task) != results]
        # They would only take the workers' time.
        for job in self._jobs - self._cancelled:
            if job in states and self._stage.product.distill("job", "cancel", job).returncode == products.OK:
                self._cancelled.add(job)
        return lost

    def _submit(self):
        while not self._ended.is_set():
            run = self._stage.product.distill("job", "submit", self._stage.job_file, "--set", f"seed={len(self._jobs) + 1}")
            if run.returncode == products.OK:
                self._jobs.add(run.stdout.strip())

    def _succeeded(self):
        """Digests of the results of each task of the job that has succeeded."""
        return {task["id"]: {result["name"]: result["digest"] for result in task.get("results", [])}
                for task in self._stage.product.tasks(self._job) if task["state"].endswith("SUCCEEDED")}


class PowerCuts:
    """Takes power from a stage's server, again and again. `lost` says what of the acknowledged is not there any more; `undone`
    counts what had not been synced."""

    def __init__(self, stage, loss, witness):
        self._stage = stage
        self._loss = loss
        self._witness = witness
        self.lost = []
        self.undone = 0

    def strike(self):
        random = self._stage.random
        self._witness.begin()
        try:
            self._kill()
            if random.random() < 0.25:
                # What a server finds when it starts may not be durable either: its predecessor died before the sync.
                self._loss.forgive()
                self._stage.restart_server()
                self._kill()
            self.undone += sum(self._loss.lose(random if random.random() < 0.5 else None))
            self._examine()
            self._stage.restart_server()
        finally:
            self.lost += self._witness.end()

    def _examine(self):
        """What a doctor says of all that is left, blob by blob; of a copy, since a look at a database recovers it."""
        product = self._stage.product
        copy = product.path("copy")
        shutil.copytree(self._stage.server.data_dir, copy)
        doctor = product.distill("admin", "doctor", "--data-dir", copy, "--verify")
        shutil.rmtree(copy)
        if doctor.returncode != products.OK:
            self.lost.append(f"the doctor says: {doctor.stdout} {doctor.stderr}")

    def _kill(self):
        """At a random moment of being busy."""
        time.sleep(self._stage.random.uniform(0, 0.2))
        self._stage.server.kill()


@fault("F03", "power loss: what was not synced is gone", 50)
def power_lost(seed, strikes):
    loaded = library()
    struck, jobs, undone, wrong = 0, 0, 0, []
    while struck < strikes and not wrong:
        jobs += 1
        losses = []

        def watch(folder, made=losses):
            made.append(PowerLoss(loaded, folder, folder + ".journal"))
            return made[0].environment()

        with Stage(seed + jobs, server_environment=watch) as stage:
            job = stage.submit()
            cuts = PowerCuts(stage, losses[0], Witness(stage, job))
            struck += stage.while_running(job, cuts.strike, strikes - struck)
            undone += cuts.undone
            wrong += cuts.lost + stage.finish(job) + stage.end()
    return struck, wrong if undone else [*wrong, "nothing was undone: the server's writes were not seen"]
