"""Disks that fail, and files that are damaged or gone."""

import os
import shutil
import signal
import subprocess

from registry import Missing, fault, strike_jobs
from stage import Stage, products

# The server's exit code when its database fails.
_STORE_FAILED = 5


# By system call: what the server is about to do when it dies.
_CRASH_POINTS = {
    "pwrite64": "write a change of state",
    "fdatasync": "sync it",
    "sendmsg": "reply",
    "write": "write a blob",
    "rename": "move a blob into place",
    "fsync": "sync its folder",
    "mkdir": "make a folder for it",
}


@fault("F02", "server SIGKILL at each kind of step that makes something last", 70)
def crash_points(seed, strikes):
    if shutil.which("strace") is None:
        raise Missing("strace")
    hits = dict.fromkeys(_CRASH_POINTS, 0)

    def strike(stage):
        call = min(hits, key=hits.get)
        server = stage.server.process
        trace = subprocess.Popen(["strace", "-f", "-q", "-e", f"trace={call}", "-e",
                                  f"inject={call}:signal=SIGKILL:when={stage.random.randint(1, 8)}", "-p", str(server.pid)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            products.eventually(lambda: server.poll() is not None, f"the server dies at {call}", seconds=3)
        except AssertionError:
            return False  # The job was nearly over.
        finally:
            trace.kill()
            trace.wait()
        hits[call] += 1
        stage.restart_server()
        return True

    struck, wrong = strike_jobs(seed, strikes, strike, longest_pause=0.2)
    if struck >= len(hits):
        wrong += [f"the server never died when it was about to {_CRASH_POINTS[call]}" for call, count in hits.items() if count == 0]
    return struck, wrong


@fault("F13", "a failed fdatasync of the server's disk", 10)
def failed_sync(seed, strikes):
    if shutil.which("strace") is None:
        raise Missing("strace")

    def strike(stage):
        """The next sync of the server fails; it must stop, and what it had acknowledged must be there after a restart."""
        server = stage.server.process
        trace = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=1",
                                  "-p", str(server.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            products.eventually(lambda: server.poll() is not None, "the server stops", seconds=20)
        except AssertionError:
            return False  # It had nothing to write.
        finally:
            trace.kill()
            trace.wait()
        if server.returncode not in (_STORE_FAILED, -signal.SIGKILL):
            raise AssertionError(f"after a failed sync the server ended with {server.returncode}")
        stage.restart_server()
        return True

    return strike_jobs(seed, strikes, strike)


def blob_files(stage):
    found = []
    for folder, _, names in os.walk(os.path.join(stage.server.data_dir, "blobs")):
        found += [os.path.join(folder, name) for name in names if len(name) == 64]
    return sorted(found)


def after_damage(seed, strikes, damage):
    """Runs a job, damages blobs, lets workers with empty caches run it once more, and compares."""
    struck, wrong = 0, []
    while struck < strikes and not wrong:
        with Stage(seed + struck) as stage:
            wrong += stage.finish(stage.submit())
            for worker in list(stage.product.workers):
                worker.stop()
                shutil.rmtree(worker.data_dir)
                stage.revive_worker(worker)
            for path in stage.random.sample(blob_files(stage), k=min(5, len(blob_files(stage)), strikes - struck)):
                damage(stage, path)
                struck += 1
            # Another fine-tuning reads what the first job's modules left.
            again = stage.submit("--set", "finetune_student.epochs=3")
            if stage.product.distill("job", "wait", again, timeout=300).returncode != products.OK:
                wrong.append(f"the second job failed: {stage.product.json('job', 'get', again).get('failure_message')}")
            wrong += stage.end()
    return struck, wrong


@fault("F14", "a bit of a stored blob flipped", 20)
def flipped_bit(seed, strikes):
    def damage(stage, path):
        size = os.path.getsize(path)
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.seek(stage.random.randrange(max(1, size)))
            byte = file.read(1) or b"\0"
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ (1 << stage.random.randrange(8))]))

    return after_damage(seed, strikes, damage)


@fault("F15", "a stored blob deleted", 20)
def missing_blob(seed, strikes):
    return after_damage(seed, strikes, lambda _, path: os.remove(path))
