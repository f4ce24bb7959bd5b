"""Programs that die, freeze, or are told to stop."""

import os
import signal
import time

from registry import fault, strike_jobs
from stage import LEASE_SECONDS, Stage, products, stop_for


@fault("F01", "server SIGKILL at random moments", 200)
def server_killed(seed, strikes):
    slowest = [0.0]

    def strike(stage):
        stage.server.kill()
        slowest[0] = max(slowest[0], stage.restart_server())

    struck, wrong = strike_jobs(seed, strikes, strike)
    if slowest[0] > 5:
        wrong.append(f"a restart took {slowest[0]:.1f} s")
    return struck, wrong


@fault("F04a", "worker SIGKILL at random moments", 200)
def worker_killed(seed, strikes):
    def strike(stage):
        worker = stage.random.choice(stage.product.workers)
        worker.kill()
        stage.revive_worker(worker)

    return strike_jobs(seed, strikes, strike)


@fault("F04b", "trainer SIGKILL at random moments", 200)
def trainer_killed(seed, strikes):
    def strike(stage):
        trainers = stage.trainers()
        if not trainers:
            return False
        os.kill(stage.random.choice(trainers), signal.SIGKILL)
        return True

    return strike_jobs(seed, strikes, strike)


@fault("F05", "worker SIGSTOP for longer than its lease, then SIGCONT", 10)
def worker_frozen(seed, strikes):
    return strike_jobs(seed, strikes,
                       lambda stage: stop_for(stage.random.choice(stage.product.workers).process, 1.5 * LEASE_SECONDS))


def has_trained(task):
    """Whether its attempt has got past preparations."""
    return int(task.get("progress", {}).get("step", 0)) > 0


@fault("F17", "a trainer that hangs while its worker's heartbeats go on", 5)
def trainer_hangs(seed, strikes):
    def strike(stage):
        # One that hangs while it gets ready, or when it is given work, is the worker's to end, after two minutes.
        job = stage.product.json("job", "list")["jobs"][0]["id"]
        while not any(has_trained(task) for task in stage.product.tasks(job) if task["state"].endswith("RUNNING")):
            if not stage.is_running(job):
                return False
        trainers = stage.trainers()
        if not trainers:
            return False
        os.kill(trainers[0], signal.SIGSTOP)
        products.eventually(lambda: trainers[0] not in stage.trainers(), "the hung trainer is ended", seconds=150)
        return True

    return strike_jobs(seed, strikes, strike, longest_pause=0.1, workers=1, server_flags=("--stall-minutes=0.05",))


# Of workers that lose a trainer to a task, by default, before it is called poison.
_POISONED_WORKERS = 4


def poison_task(stage, job, task):
    """Kills every trainer whenever the task has begun to train, until it is over. Returns its last state."""
    while True:
        found = stage.product.json("task", "get", job, task)
        if found["state"].endswith(("FAILED", "SUCCEEDED")):
            return found["state"]
        # One that dies sooner did not die of the task.
        if has_trained(found):
            for trainer in stage.trainers():
                os.kill(trainer, signal.SIGKILL)


@fault("F20", "a task that kills the trainer of every worker", 3)
def poison(seed, strikes):
    wrong = []
    with Stage(seed, workers=_POISONED_WORKERS) as stage:
        for number in range(strikes):
            # Long enough that it never ends before it is killed, and without a checkpoint: it gets nowhere.
            job = stage.submit("--set", f"seed={number + 1}", "--set", "finetune_teacher.epochs=1000", "--set",
                               "execution.checkpoint_interval_seconds=3600")
            state = poison_task(stage, job, "finetune-teacher")
            stage.product.distill("job", "wait", job)
            reason = stage.product.json("job", "get", job).get("failure_message", "")
            if not state.endswith("FAILED") or "POISON" not in reason:
                wrong.append(f"the poison task is {state}: {reason}")
        wrong += stage.finish(stage.submit()) + stage.end()
    return strikes, wrong


@fault("F21", "jobs cancelled at random moments, twice", 20)
def cancelled(seed, strikes):
    wrong = []
    with Stage(seed) as stage:
        for number in range(strikes):
            job = stage.submit("--set", f"seed={number}")
            time.sleep(stage.random.uniform(0, 2.5))
            for _ in range(2):
                stage.product.distill("job", "cancel", job)
            begin = time.monotonic()
            stage.product.distill("job", "wait", job)
            states = {task["state"].rsplit("_", 1)[-1] for task in stage.product.tasks(job)}
            if not states <= {"CANCELLED", "SUCCEEDED"}:
                wrong.append(f"tasks of a cancelled job are {states}")
            products.eventually(lambda: 'distill_tasks{state="running"} 0' in stage.server.get("/metrics"), "nothing runs", seconds=10)
            if time.monotonic() - begin > 10:
                wrong.append("a cancelled job ran on for more than 10 s")
        wrong += stage.finish(stage.submit()) + stage.end()
    return strikes, wrong
