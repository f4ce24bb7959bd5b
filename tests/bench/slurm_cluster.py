"""A Slurm cluster of one node in a folder, without systemd, for comparison: `with Cluster(folder) as cluster`.

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge. Everything it starts ends with it.
"""

import os
import socket
import subprocess
import time

_CPUS = 16

_CONFIG = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=bench Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    def __init__(self, folder):
        self._folder = folder
        self._processes = []
        self._environment = dict(os.environ, SLURM_CONF=os.path.join(folder, "slurm.conf"))

    def __enter__(self):
        for name in ("state", "spool"):
            os.makedirs(os.path.join(self._folder, name))
        with open(os.path.join(self._folder, "slurm.conf"), "w", encoding="ascii") as file:
            file.write(_CONFIG.format(host=socket.gethostname().split(".")[0], folder=self._folder, cpus=_CPUS,
                                      controller_port=_free_port(), node_port=_free_port()))
        key = os.path.join(self._folder, "munge.key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o400), "wb") as file:
            file.write(os.urandom(1024))
        try:
            self._start("munged", "--foreground", "--force", f"--key-file={key}",
                        f"--socket={self._folder}/munge.socket", f"--pid-file={self._folder}/munge.pid",
                        f"--log-file={self._folder}/munge.log", f"--seed-file={self._folder}/munge.seed")
            self._await(lambda: os.path.exists(f"{self._folder}/munge.socket"))
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D")
            self._await(lambda: "idle" in self.run("sinfo", "--noheader", "--format=%t").stdout)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, *command):
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def seconds_of_array(self, tasks):
        """Seconds from submitting an array of tasks that do nothing until none of them is left."""
        begin = time.monotonic()
        run = self.run("sbatch", "--output=/dev/null", f"--array=1-{tasks}", "--wrap=true")
        if run.returncode != 0:
            raise RuntimeError(f"sbatch: {run.stderr}")
        # Its own --wait asks seldom.
        self._await(lambda: not self.run("squeue", "--noheader", "--states=PENDING,RUNNING").stdout.strip(), seconds=600)
        return time.monotonic() - begin

    def _start(self, *command):
        with open(os.path.join(self._folder, "output"), "ab") as log:
            self._processes.append(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log))

    def _await(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                with open(os.path.join(self._folder, "output"), encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"Slurm does not come up:\n{log.read()}")
            time.sleep(0.1)
