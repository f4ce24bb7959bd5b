"""The client: what a researcher does with a server, as methods.

    with Client("localhost:7700") as client:
        job = client.submit("job.yaml", {"distillation.tau": 2})
        client.wait(job, progress=lambda event: print(describe(event)))
        print(client.report(job).markdown)

Messages are those of the protocol (`distillery.v1`), whose .proto files say what each field means. A job may be named by
its id or by a Job message. Every call is made again while the server cannot be reached, with the same request, so that
a change happens once; see Patience for how long. Errors: distillery.errors.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from typing import (TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Type,
                    Union)

import grpc

from distillery import architecture as architectures
from distillery import connection as connections
from distillery import errors, frames, jobfile, safetensors
from distillery import sweep as sweeps
from distillery.connection import PathLike, Patience, Stubs, Tls, Tries
from distillery.jobfile import JobSource, Overrides
from distillery.sweep import Sweep
from distillery.transfer import Transfer
from distillery.v1 import (artifact_service_pb2, auth_service_pb2, dataset_service_pb2, fleet_service_pb2, job_pb2,
                           job_service_pb2, report_pb2, task_pb2)
from distillery.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from distillery.v1.auth_service_pb2_grpc import AuthServiceStub
from distillery.v1.dataset_service_pb2_grpc import DatasetServiceStub
from distillery.v1.fleet_service_pb2_grpc import FleetServiceStub
from distillery.v1.job_service_pb2_grpc import JobServiceStub, TaskServiceStub
from distillery.weights import Weights

if TYPE_CHECKING:
    import pandas

_PAGE_SIZE = 1000
_TERMINAL_JOB = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)

JobLike = Union[str, job_pb2.Job]
TaskLike = Union[str, task_pb2.Task]
OnEvent = Callable[[job_service_pb2.JobEvent], None]


def is_over(job: job_pb2.Job) -> bool:
    """Whether nothing will change in the job any more."""
    return job.state in _TERMINAL_JOB


def describe(event: job_service_pb2.JobEvent) -> str:
    """Returns one line about an event: "distill-module-0: training, step 30 of 120, loss 1.234, 12 s left".

    >>> describe(job_service_pb2.JobEvent(revision=1, job=job_pb2.Job(id="j1", state=job_pb2.JOB_STATE_RUNNING)))
    'job j1: running, 0 of 0 tasks done'
    """
    if event.HasField("job"):
        job = event.job
        text = f"job {job.id}: {jobfile.state_name(job.state)}, {job.tasks_succeeded} of {job.tasks_total} tasks done"
        return f"{text}: {job.failure_message}" if job.failure_message else text
    if event.HasField("task"):
        task = event.task
        text = f"{task.id}: {jobfile.state_name(task.state, task_pb2.TaskState.DESCRIPTOR)}"
        cause = task.failure_message or task.waiting_reason
        return f"{text}: {cause}" if cause else text
    now = event.progress.progress
    parts = [now.phase or "running"]
    if now.total_steps > 0:
        parts.append(f"step {now.step} of {now.total_steps}")
    if now.step > 0 and not math.isnan(now.loss):
        parts.append(f"loss {now.loss:.4g}")
    if now.eta_seconds > 0:
        parts.append(f"{now.eta_seconds:.0f} s left")
    return f"{event.progress.task}: {', '.join(parts)}"


class Client:
    """A client of one server, or of several that stand by for each other. Thread-safe; calls block.

    address           "host:port"; several as a list or separated by commas. Default: $DISTILL_SERVER, else the
                      `distill dev` of this folder
    token             bearer token, sent over TLS only; or `token_file`, default $DISTILL_TOKEN_FILE, with it in its first
                      line, which only its owner may read
    tls               how the server proves who it is (files are read once); default: from $DISTILL_TLS_CA ("system": what this machine trusts),
                      $DISTILL_TLS_CERT, $DISTILL_TLS_KEY and $DISTILL_TLS_SERVER_NAME, else unencrypted
    allow_plaintext   speak unencrypted to a server beyond this machine; for trusted networks
    project           whose jobs `jobs` returns and who may read what `upload` sends; default: $DISTILL_PROJECT, else "default". A job's own project is a key of its
                      job file
    patience          how long to wait for what

    No call is made before the first method, so a wrong address shows there. Raises ValueError for what cannot be used.
    """

    def __init__(self, address: Union[str, Sequence[str], None] = None, *, token: Optional[str] = None,
                 token_file: Optional[PathLike] = None, tls: Optional[Tls] = None, allow_plaintext: bool = False,
                 project: Optional[str] = None, patience: Optional[Patience] = None) -> None:
        self.project = project or os.environ.get("DISTILL_PROJECT") or "default"
        addresses = connections.split_addresses(address) if address is not None else connections.default_addresses()
        if tls is None and (address is not None or os.environ.get("DISTILL_SERVER")):
            tls = connections.default_tls()  # A `distill dev` of this folder speaks unencrypted.
        if token is None and token_file is not None:
            token = connections.read_token(token_file)
        if token is None and tls is not None and os.environ.get("DISTILL_TOKEN_FILE"):
            token = connections.read_token(os.environ["DISTILL_TOKEN_FILE"])
        credentials = connections.make_credentials(addresses, token, tls, allow_plaintext)
        self._connection = connections.Connection(addresses, credentials, tls.server_name if tls else "",
                                                  patience or Patience())
        self._jobs = Stubs(self._connection, JobServiceStub)
        self._tasks = Stubs(self._connection, TaskServiceStub)
        self._artifacts = Stubs(self._connection, ArtifactServiceStub)
        self._fleet = Stubs(self._connection, FleetServiceStub)
        self._datasets = Stubs(self._connection, DatasetServiceStub)
        self._auth = Stubs(self._connection, AuthServiceStub)
        self._transfer = Transfer(self._connection)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: object, traceback: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the client; calls that other threads have open end with `Cancelled`. Jobs go on. May be repeated."""
        self._connection.close()

    @property
    def server(self) -> str:
        """The addresses, separated by commas."""
        return self._connection.server

    def channel(self) -> grpc.Channel:
        """The channel to the server that is asked just now, for calls that have no method here:
        `FleetServiceStub(client.channel()).DrainWorker(...)`. Such calls are not repeated."""
        return self._connection.channels[self._connection.current]

    # Jobs.

    def submit(self, job: JobSource, overrides: Optional[Overrides] = None, *, request_id: Optional[str] = None,
               allow_unplaceable: bool = False) -> job_pb2.Job:
        """Plans and accepts a job; durable when it returns.

        job                a job file (YAML, JSON, textproto), a dictionary with a job file's keys, or a JobSpec
        overrides          see distillery.load_job
        request_id         1 to 128 of [A-Za-z0-9._-]; the same one returns the same job, also later and elsewhere.
                           Default: a new one
        allow_unplaceable  accept the job though no worker that the server knows could ever run some task of it

        Raises JobFileError (nothing was sent), InvalidRequest with each wrong field in `fields`, LimitReached, WrongState.

            job = client.submit("deploy/jobs/tiny.yaml", {"seed": 1, "dataset.train_images": 100})
        """
        request = job_service_pb2.CreateJobRequest(
            spec=jobfile.load_job(job, overrides), request_id=request_id or _new_id(), allow_unplaceable=allow_unplaceable)
        return self._connection.call("submit job", lambda: self._jobs.current.CreateJob, request)

    def validate(self, job: JobSource, overrides: Optional[Overrides] = None) -> job_pb2.Job:
        """Plans and checks a job and stores nothing. The Job has every default filled in, and no id."""
        request = job_service_pb2.CreateJobRequest(spec=jobfile.load_job(job, overrides), request_id=_new_id(),
                                                   validate_only=True)
        return self._connection.call("check job", lambda: self._jobs.current.CreateJob, request)

    def plan(self, job: JobSource, overrides: Optional[Overrides] = None) -> job_service_pb2.JobPlan:
        """Returns what a job would do and stores nothing: its tasks, which of them results of others serve, predicted time
        and memory. Raises NotSupported when the server is older. `distillery.frames.plan_frame` makes a table of it."""
        request = job_service_pb2.PlanJobRequest(spec=jobfile.load_job(job, overrides))
        return self._connection.call("plan job", lambda: self._jobs.current.PlanJob, request)

    def job(self, job: JobLike) -> job_pb2.Job:
        """Returns the job as it is now. Raises NotFound."""
        return self._connection.call("get job", lambda: self._jobs.current.GetJob,
                                     job_service_pb2.GetJobRequest(job=_job_id(job)))

    def jobs(self, project: Optional[str] = None, limit: int = 100) -> List[job_pb2.Job]:
        """Returns the newest jobs of a project ("-": of all that the caller may see); default: the client's."""
        found: List[job_pb2.Job] = []
        request = job_service_pb2.ListJobsRequest(project=project or self.project)
        while len(found) < limit:
            request.page_size = min(limit - len(found), _PAGE_SIZE)
            page = self._connection.call("list jobs", lambda: self._jobs.current.ListJobs, request)
            found.extend(page.jobs)
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        return found

    def cancel(self, job: JobLike) -> job_pb2.Job:
        """Accepts at once; the job is CANCELLING until its trainers are gone. A job that is over stays as it is."""
        return self._connection.call("cancel job", lambda: self._jobs.current.CancelJob,
                                     job_service_pb2.CancelJobRequest(job=_job_id(job), request_id=_new_id()))

    def pause(self, job: JobLike) -> job_pb2.Job:
        """Starts nothing more of the job; what runs writes a checkpoint. Raises WrongState when the job is over."""
        return self._connection.call("pause job", lambda: self._jobs.current.PauseJob,
                                     job_service_pb2.PauseJobRequest(job=_job_id(job), request_id=_new_id()))

    def resume(self, job: JobLike) -> job_pb2.Job:
        """Lets a paused job go on from its checkpoints. Raises WrongState when the job is over."""
        return self._connection.call("resume job", lambda: self._jobs.current.ResumeJob,
                                     job_service_pb2.ResumeJobRequest(job=_job_id(job), request_id=_new_id()))

    def retry(self, job: JobLike, *, request_id: Optional[str] = None) -> job_pb2.Job:
        """Submits a job that failed or was cancelled again, as a new one; what had succeeded is reused."""
        return self._connection.call("retry job", lambda: self._jobs.current.RetryJob,
                                     job_service_pb2.RetryJobRequest(job=_job_id(job), request_id=request_id or _new_id()))

    def delete(self, job: JobLike) -> None:
        """Forgets a job that is over, and what only it held on to. One that is gone already is no error."""
        try:
            self._connection.call("delete job", lambda: self._jobs.current.DeleteJob,
                                  job_service_pb2.DeleteJobRequest(job=_job_id(job), request_id=_new_id()))
        except errors.NotFound:
            pass  # Gone is gone, and the reply to an earlier try may have been lost.

    def watch(self, job: JobLike, after_revision: int = 0, progress: bool = True) -> Iterator[job_service_pb2.JobEvent]:
        """Yields each change of the job after `after_revision` exactly once, in order, across lost connections and restarts of
        the server, and ends after the one that ends the job. With `progress` also what running tasks tell, which has
        revision 0 and is not kept.

        Raises NotFound at once when there is no such job; ServerUnavailable while iterating when the server stays away
        for longer than `Patience.reconnect`. Go on with `after_revision=` of the last event.

            for event in client.watch(job):
                if event.HasField("progress"):
                    print(event.progress.task, event.progress.progress.step)
        """
        known = self.job(job)  # Also tells, with the short patience of a first call, that there are job and server.
        return self._watch(known.id, after_revision, progress, None)

    def _watch(self, job: str, revision: int, progress: bool,
               end: Optional[float]) -> Iterator[job_service_pb2.JobEvent]:
        """`end`: when to stop, by the monotonic clock, with DeadlineExceeded."""
        tries = Tries(self._connection, "watch job")
        tries.advance()
        while True:
            stream = None
            try:
                tries.begin()
                timeout = None if end is None else max(end - time.monotonic(), 0.0)
                stream = self._jobs.current.WatchJob(
                    job_service_pb2.WatchJobRequest(job=job, after_revision=revision, include_progress=progress),
                    timeout=timeout)
                for event in stream:
                    tries.advance()
                    if event.revision != 0:
                        if event.revision <= revision:
                            continue  # Sent again after a reconnection.
                        revision = event.revision
                    yield event
                    if event.HasField("job") and is_over(event.job):
                        return
                # An end without the last event: the caller had seen it already, or the server is stopping.
                now = self.job(job)
                if is_over(now) and now.revision <= revision:
                    return
                tries.ended("the server ended the watch")
            except (grpc.RpcError, ValueError) as error:
                if end is not None and time.monotonic() >= end:
                    raise errors.DeadlineExceeded("the time is over", code="DEADLINE_EXCEEDED") from error
                tries.failed(error)
            finally:
                if stream is not None:
                    stream.cancel()

    def wait(self, job: JobLike, timeout: Optional[float] = None, progress: Optional[OnEvent] = None,
             check: bool = True) -> job_pb2.Job:
        """Waits until the job is over, and returns it.

        timeout   seconds; WaitTimeout is raised when they are over, and the job goes on
        progress  is told every event, as `watch` yields them
        check     raise JobFailed when the job did not succeed; else it is returned as it ended
        """
        end = None if timeout is None else time.monotonic() + timeout
        last = self.job(job)
        try:
            # Without anybody to tell, the history is of no interest.
            begin = last.revision if progress is None else 0
            if progress is not None or not is_over(last):
                for event in self._watch(last.id, begin, progress is not None, end):
                    if event.HasField("job"):
                        last = event.job
                    if progress is not None:
                        progress(event)
                if not is_over(last):
                    last = self.job(last)
        except errors.DeadlineExceeded as error:
            if timeout is None:
                raise
            raise errors.WaitTimeout(last, timeout) from error
        if check and last.state != job_pb2.JOB_STATE_SUCCEEDED:
            raise errors.JobFailed(last)
        return last

    def sweep(self, job: JobSource, grid: Optional[Mapping[str, Sequence[Any]]] = None, *,
              arms: Optional[Mapping[str, Overrides]] = None, seeds: Iterable[int] = (0,),
              overrides: Optional[Overrides] = None, name: str = "sweep", retry: int = 0) -> Sweep:
        """Submits a job for each arm, point of the grid and seed, at most 1000, as `distill experiment run` does.

        Tasks that are equal run once. Called again with the same arguments, it finds the same jobs; another `retry` submits
        those that failed or were cancelled once more. On an error the jobs that were submitted before go on.

            sweep = client.sweep("job.yaml", {"distillation.tau": [1, 2, 4]}, seeds=range(3))
            table = sweep.wait().frame()
            table.pivot_table("accuracy", "distillation.tau", "model")
        """
        base = jobfile.load_job(job, overrides)
        runs = sweeps.plan(base, name=name, grid=grid, arms=arms, seeds=seeds, retry=retry)
        return sweeps.submit(self, runs)

    def report(self, job: JobLike) -> report_pb2.Report:
        """Returns the report as it stands; complete once the job is over. `markdown` is the same as a page."""
        return self._connection.call("get report", lambda: self._jobs.current.GetReport,
                                     job_service_pb2.GetReportRequest(job=_job_id(job)))

    def models_frame(self, job: JobLike) -> pandas.DataFrame:
        """The report's models: accuracy, loss, mean accuracy under corruptions. Needs pandas."""
        return frames.models_frame(self.report(job))

    # Tasks.

    def tasks(self, job: JobLike) -> List[task_pb2.Task]:
        """Returns the tasks of a job, in the order of its plan."""
        request = job_service_pb2.ListTasksRequest(job=_job_id(job), page_size=_PAGE_SIZE)
        found: List[task_pb2.Task] = []
        while True:
            page = self._connection.call("list tasks", lambda: self._tasks.current.ListTasks, request)
            found.extend(page.tasks)
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def task(self, job: JobLike, task: TaskLike) -> task_pb2.Task:
        """Returns one task, such as "distill-module-0". Raises NotFound."""
        return self._connection.call("get task", lambda: self._tasks.current.GetTask,
                                     job_service_pb2.GetTaskRequest(job=_job_id(job), task=_task_id(task)))

    def explain(self, job: JobLike, task: TaskLike) -> job_service_pb2.TaskExplanation:
        """Returns why a task does not run, and what keeps it from each worker."""
        return self._connection.call("explain task", lambda: self._tasks.current.ExplainTask,
                                     job_service_pb2.ExplainTaskRequest(job=_job_id(job), task=_task_id(task)))

    def log(self, job: JobLike, task: TaskLike, attempt: int = 0) -> str:
        """Returns the log of an attempt that is over (0: the newest). Raises NotFound when there is none (any more), or none
        yet: follow_log() waits."""
        data = bytearray()

        def read(tries: Tries) -> None:
            stream = self._tasks.current.ReadLog(job_service_pb2.ReadLogRequest(
                job=_job_id(job), task=_task_id(task), attempt=attempt, offset=len(data)))
            for chunk in stream:
                data.extend(chunk.data)
                tries.advance()

        self._connection.repeat("read log", read)
        return data.decode("utf-8", "replace")

    def follow_log(self, job: JobLike, task: TaskLike, attempt: int = 0) -> Iterator[bytes]:
        """Yields the log of an attempt (0: the newest; one that is still to come is waited for) as it is written, across lost
        connections and restarts of the server, and ends when the attempt has ended."""
        tries = Tries(self._connection, "follow log")
        request = job_service_pb2.ReadLogRequest(job=_job_id(job), task=_task_id(task), attempt=attempt, follow=True)
        while True:
            stream = None
            try:
                tries.begin()
                stream = self._tasks.current.ReadLog(request)
                for chunk in stream:
                    request.offset, request.attempt = chunk.offset + len(chunk.data), chunk.attempt
                    tries.advance()
                    yield chunk.data
                return
            except (grpc.RpcError, ValueError) as error:
                tries.failed(error)
            finally:
                if stream is not None:
                    stream.cancel()

    def series(self, job: JobLike, task: TaskLike) -> report_pb2.Series:
        """Returns the training curve of a task; of a reused one, that of the task that ran. Empty when there is none."""
        series = self._series(_job_id(job), _task_id(task))
        if series.points:
            return series
        reused_from = self.task(job, task).reused_from.split("/")
        # "projects/{project}/jobs/{job}/tasks/{task}", which may be gone by now.
        return self._series(reused_from[3], reused_from[5]) if len(reused_from) == 6 else series

    def _series(self, job: str, task: str) -> report_pb2.Series:
        try:
            return self._connection.call("read series", lambda: self._tasks.current.ReadSeries,
                                         job_service_pb2.ReadSeriesRequest(job=job, task=task)).series
        except errors.NotFound:
            return report_pb2.Series()

    def series_frame(self, job: JobLike, tasks: Optional[Iterable[TaskLike]] = None) -> pandas.DataFrame:
        """The training curves of a job (or of some of its tasks), one row a point, indexed by task and step. Needs pandas.

            client.series_frame(job).loc["distill-module-0"].plot(y=["loss", "distillation"])
        """
        chosen = [_task_id(t) for t in (self.tasks(job) if tasks is None else tasks)]
        return frames.series_frame((name, self.series(job, name)) for name in chosen)

    # Artifacts.

    def artifacts(self, job: Optional[JobLike] = None) -> List[artifact_service_pb2.Artifact]:
        """Returns the artifacts of a job, or all; each with its lineage: which attempts made it, and from what."""
        request = artifact_service_pb2.ListArtifactsRequest(job="" if job is None else _job_id(job), page_size=_PAGE_SIZE)
        found: List[artifact_service_pb2.Artifact] = []
        while True:
            page = self._connection.call("list artifacts", lambda: self._artifacts.current.ListArtifacts, request)
            found.extend(page.artifacts)
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def artifact(self, digest: str) -> artifact_service_pb2.Artifact:
        """Returns what is known of one artifact. Raises NotFound."""
        return self._connection.call("get artifact", lambda: self._artifacts.current.GetArtifact,
                                     artifact_service_pb2.GetArtifactRequest(digest=digest))

    def read(self, digest: str) -> bytearray:
        """Returns the bytes of an artifact, verified. Raises NotFound, DataCorrupt."""
        return self._transfer.read(digest)

    def download(self, digest: str, path: PathLike, progress: Optional[Callable[[int], None]] = None) -> None:
        """Puts an artifact at `path`, which appears only when it is complete and verified. What an interrupted call left
        beside it (PATH.DIGEST.partial) is gone on with. `progress` is told how many bytes are there. Raises NotFound,
        DataCorrupt."""
        self._transfer.download(digest, path, progress or (lambda count: None))

    def upload(self, path: PathLike, kind: int = artifact_service_pb2.ARTIFACT_TYPE_MODEL) -> str:
        """Uploads a file, or nothing if the server has it, for the client's project to read. Returns its digest, for `given` in
        a job."""
        return self._transfer.upload(path, kind, self.project)

    def weights(self, digest: str) -> Weights:
        """Returns the weights of an artifact, and what network they are of. Raises WeightsError when it holds none."""
        artifact = self.artifact(digest)
        described = None
        for lineage in artifact.lineage:
            try:
                described = described or architectures.architecture_of_output(
                    self.task(lineage.job, lineage.task).spec, lineage.output)
            except errors.NotFound:
                continue  # That job is deleted; the same bytes may have come from another.
        kind = artifact_service_pb2.ArtifactType.Name(artifact.type)
        if artifact.type not in (artifact_service_pb2.ARTIFACT_TYPE_UNSPECIFIED,
                                 artifact_service_pb2.ARTIFACT_TYPE_MODEL, artifact_service_pb2.ARTIFACT_TYPE_MODULE):
            raise errors.WeightsError(f"cannot read weights: the artifact holds none; type={kind} digest={digest}")
        tensors, metadata = safetensors.load(self.read(digest))
        if described is None and architectures.FORMAT in metadata.get("architecture", ""):
            described = architectures.parse_architecture(metadata["architecture"])
        if described is None:
            raise errors.WeightsError("cannot read weights: neither the file nor a task says what network they are of; "
                                      f"digest={digest}")
        return Weights(tensors, described, digest, metadata)

    def result(self, job: JobLike, model: str = "student") -> Weights:
        """Returns the weights of an evaluated model, by its label in the report: "student", "teacher", "meta", "student
        distilled", "baseline B1". Raises NotFound when the report has none of it (yet)."""
        models = {m.label: m.model_digest for m in self.report(job).models}
        if not models.get(model):
            there = ", ".join(sorted(name for name, digest in models.items() if digest)) or "none"
            raise errors.NotFound(f"cannot get result: the report has no such model; model={model} models={there}",
                                  resource=("model", model))
        return self.weights(models[model])

    def modules(self, job: JobLike) -> List[Weights]:
        """Returns the distilled modules of a job in order, each by itself."""
        found: Dict[int, str] = {}
        for task in self.tasks(job):
            wanted = task.spec.kind in (task_pb2.TASK_KIND_DISTILL_MODULE, task_pb2.TASK_KIND_SELECT_MODULE)
            for result in task.results if wanted else ():
                if result.name == "module":
                    found[task.spec.module_index] = result.digest  # A selection comes after what it selects from.
        return [self.weights(found[index]) for index in sorted(found)]

    # Data sets, workers, and who is who.

    def datasets(self) -> List[dataset_service_pb2.Dataset]:
        """Returns the registered data sets in order of name."""
        request = dataset_service_pb2.ListDatasetsRequest(page_size=_PAGE_SIZE)
        found: List[dataset_service_pb2.Dataset] = []
        while True:
            page = self._connection.call("list data sets", lambda: self._datasets.current.ListDatasets, request)
            found.extend(page.datasets)
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def whoami(self) -> auth_service_pb2.WhoAmIResponse:
        """Returns who the server takes the caller for, and its roles."""
        return self._connection.call("ask who I am", lambda: self._auth.current.WhoAmI, auth_service_pb2.WhoAmIRequest())

    def workers(self) -> List[fleet_service_pb2.Worker]:
        """Returns the workers that the server knows."""
        request = fleet_service_pb2.ListWorkersRequest(page_size=_PAGE_SIZE)
        found: List[fleet_service_pb2.Worker] = []
        while True:
            page = self._connection.call("list workers", lambda: self._fleet.current.ListWorkers, request)
            found.extend(page.workers)
            request.page_token = page.next_page_token
            if not request.page_token:
                return found


def _new_id() -> str:
    return uuid.uuid4().hex


def _job_id(job: JobLike) -> str:
    """The short id; "projects/{project}/jobs/{id}" is taken too."""
    return job.id if isinstance(job, job_pb2.Job) else job.rpartition("/")[2]


def _task_id(task: TaskLike) -> str:
    return task.id if isinstance(task, task_pb2.Task) else task.rpartition("/")[2]
