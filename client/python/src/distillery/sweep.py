"""Many jobs from one: a grid of overrides, named arms and seeds, as `distill experiment` has them, and their results side by
side. Each job's request id follows from its settings, so that a sweep that is started again finds its jobs, also those that
`distill experiment run` submitted from an equal file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from distillery import frames, jobfile
from distillery.document import label
from distillery.errors import DistilleryError, JobFileError, JobFailed
from distillery.v1 import job_pb2, report_pb2

if TYPE_CHECKING:
    import pandas

    from distillery.client import Client

MAX_RUNS = 1000
_MAX_NAME = 200


@dataclasses.dataclass
class Run:
    """One job of a sweep. `settings` are the values along every axis, for people; the arm's name is under "arm"."""

    settings: Dict[str, str]
    seed: int
    spec: job_pb2.JobSpec
    request_id: str
    job: job_pb2.Job = dataclasses.field(default_factory=job_pb2.Job)

    @property
    def label(self) -> str:
        """"long distillation.alpha=0.5 seed=1"."""
        return f"{_settings_label(self.settings)} seed={self.seed}"


def _settings_label(settings: Mapping[str, str]) -> str:
    return " ".join(v if k == "arm" else f"{k}={v}" for k, v in settings.items()) or "base"


def plan(base: job_pb2.JobSpec, *, name: str, grid: Optional[Mapping[str, Sequence[Any]]] = None,
         arms: Optional[Mapping[str, jobfile.Overrides]] = None, seeds: Iterable[int] = (0,), retry: int = 0) -> List[Run]:
    """Returns the runs: arms, then the axes of the grid in their order, the last fastest; the seeds of each together.

    Raises JobFileError, also for more than MAX_RUNS runs.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", name):
        raise JobFileError(f"sweep: name: expected 1 to 128 of letters, digits, . _ and -; got={name}")
    chosen_seeds = list(seeds)
    if not chosen_seeds or len(set(chosen_seeds)) != len(chosen_seeds):
        raise JobFileError(f"sweep: seeds: expected at least one, and each once; got={chosen_seeds}")
    axes: List[List[Tuple[str, Any]]] = [[(key, value) for value in values] for key, values in (grid or {}).items()]
    for key, axis in zip(grid or {}, axes):
        if not axis:
            raise JobFileError(f"sweep: {key}: expected at least one value")
    count = max(len(arms or {}), 1) * len(chosen_seeds)
    for axis in axes:
        count *= len(axis)
    if count > MAX_RUNS:
        raise JobFileError(f"sweep: makes more than {MAX_RUNS} jobs; vary less at a time; jobs={count}")
    runs: List[Run] = []
    for arm in arms or [""]:
        start = job_pb2.JobSpec()
        start.CopyFrom(base)
        jobfile.override(start, (arms or {}).get(arm, {}))
        for point in itertools.product(*axes):
            settings = {"arm": arm} if arm else {}
            settings.update((key, label(value)) for key, value in point)
            spec = job_pb2.JobSpec()
            spec.CopyFrom(start)
            jobfile.override(spec, dict(point))
            for seed in chosen_seeds:
                runs.append(_run(name, settings, seed, spec, retry))
    return runs


def _run(name: str, settings: Dict[str, str], seed: int, base: job_pb2.JobSpec, retry: int) -> Run:
    spec = job_pb2.JobSpec()
    spec.CopyFrom(base)
    jobfile.override(spec, {"seed": seed})
    spec.display_name = f"{name} {_settings_label(settings)} seed={seed}"[:_MAX_NAME]
    digest = hashlib.sha256(spec.SerializeToString(deterministic=True) + f"\n{retry}".encode()).hexdigest()
    return Run(settings, seed, spec, f"experiment-{digest[:40]}")


class Sweep:
    """The jobs of a sweep, in order. Made by `Client.sweep`."""

    def __init__(self, client: Client, runs: List[Run]) -> None:
        self._client = client
        self.runs = runs

    def __len__(self) -> int:
        return len(self.runs)

    def wait(self, timeout: Optional[float] = None, progress: Optional[Callable[[Sweep], None]] = None,
             check: bool = True) -> Sweep:
        """Waits until all jobs are over; `progress` is told of each that is. Raises JobFailed for the first that did not
        succeed, once all are over, unless `check` is false; WaitTimeout when `timeout` seconds were not enough."""
        end = None if timeout is None else time.monotonic() + timeout
        for run in self.runs:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            run.job = self._client.wait(run.job, timeout=left, check=False)
            if progress is not None:
                progress(self)
        for run in self.runs:
            if check and run.job.state != job_pb2.JOB_STATE_SUCCEEDED:
                raise JobFailed(run.job)
        return self

    def cancel(self) -> None:
        """Cancels every job that is not over."""
        for run in self.runs:
            run.job = self._client.cancel(run.job)

    def reports(self) -> List[report_pb2.Report]:
        """The report of each run, in order; complete once it is over."""
        return [self._client.report(run.job) for run in self.runs]

    def frame(self) -> pandas.DataFrame:
        """One row for each run and model: the settings, the seed, the job, and what `models_frame` has of the model."""
        pandas = frames.load_pandas()
        parts = []
        for run, report in zip(self.runs, self.reports()):
            part = frames.models_frame(report).reset_index()
            for position, (key, value) in enumerate([*run.settings.items(), ("seed", run.seed), ("job", run.job.id)]):
                part.insert(position, key, value)
            parts.append(part)
        return pandas.concat(parts, ignore_index=True)


def submit(client: Client, runs: List[Run]) -> Sweep:
    """Submits every run; an error names the run, and those submitted before it go on."""
    for run in runs:
        try:
            run.job = client.submit(run.spec, request_id=run.request_id)
        except DistilleryError as error:
            error.message = f"cannot submit the run {run.label}: {error.message}"
            raise
    return Sweep(client, runs)
