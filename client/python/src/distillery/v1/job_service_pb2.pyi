from distillery.v1 import job_pb2 as _job_pb2
from distillery.v1 import ledger_pb2 as _ledger_pb2
from distillery.v1 import report_pb2 as _report_pb2
from distillery.v1 import task_pb2 as _task_pb2
from distillery.v1 import trace_pb2 as _trace_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
PLANNED_EXECUTION_JOINS: PlannedExecution
PLANNED_EXECUTION_REUSES: PlannedExecution
PLANNED_EXECUTION_RUNS: PlannedExecution
PLANNED_EXECUTION_UNSPECIFIED: PlannedExecution
PREDICATE_ASKING: Predicate
PREDICATE_CONNECTED: Predicate
PREDICATE_DEVICE_KIND: Predicate
PREDICATE_DRIVER: Predicate
PREDICATE_FREE_SLOT: Predicate
PREDICATE_GANG_NETWORK: Predicate
PREDICATE_LABELS: Predicate
PREDICATE_MEMORY: Predicate
PREDICATE_NONE: Predicate
PREDICATE_NOT_DRAINING: Predicate
PREDICATE_NOT_QUARANTINED: Predicate
PREDICATE_NUMERIC_CLASS: Predicate
PREDICATE_UNSPECIFIED: Predicate
WAIT_REASON_BACKOFF: WaitReason
WAIT_REASON_EQUAL_TASK: WaitReason
WAIT_REASON_GANG: WaitReason
WAIT_REASON_INPUTS: WaitReason
WAIT_REASON_JOB_PAUSED: WaitReason
WAIT_REASON_NONE: WaitReason
WAIT_REASON_NO_FIT: WaitReason
WAIT_REASON_NO_FREE_SLOT: WaitReason
WAIT_REASON_NO_WORKER: WaitReason
WAIT_REASON_QUOTA: WaitReason
WAIT_REASON_TURN: WaitReason
WAIT_REASON_UNAVAILABLE: WaitReason
WAIT_REASON_UNSPECIFIED: WaitReason

class CancelJobRequest(_message.Message):
    __slots__ = ["etag", "job", "request_id"]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    etag: str
    job: str
    request_id: str
    def __init__(self, job: _Optional[str] = ..., request_id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class CreateJobRequest(_message.Message):
    __slots__ = ["allow_unplaceable", "request_id", "retry_of", "spec", "validate_only"]
    ALLOW_UNPLACEABLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    allow_unplaceable: bool
    request_id: str
    retry_of: str
    spec: _job_pb2.JobSpec
    validate_only: bool
    def __init__(self, spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: bool = ..., allow_unplaceable: bool = ..., retry_of: _Optional[str] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ["job", "request_id"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    job: str
    request_id: str
    def __init__(self, job: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteJobResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ExplainTaskRequest(_message.Message):
    __slots__ = ["job", "task"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ...) -> None: ...

class GetJobCostRequest(_message.Message):
    __slots__ = ["job"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ["job", "read_mask"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, job: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetReportRequest(_message.Message):
    __slots__ = ["job"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ["job", "read_mask", "task"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    read_mask: _field_mask_pb2.FieldMask
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetTraceRequest(_message.Message):
    __slots__ = ["job"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: str
    def __init__(self, job: _Optional[str] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ["job", "progress", "revision", "task"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    progress: TaskProgress
    revision: int
    task: _task_pb2.Task
    def __init__(self, revision: _Optional[int] = ..., job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., progress: _Optional[_Union[TaskProgress, _Mapping]] = ...) -> None: ...

class JobPlan(_message.Message):
    __slots__ = ["critical_path_seconds", "job", "largest_memory_bytes", "predicted_seconds", "saved_seconds", "tasks", "unpredicted_tasks"]
    CRITICAL_PATH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    LARGEST_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAVED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    UNPREDICTED_TASKS_FIELD_NUMBER: _ClassVar[int]
    critical_path_seconds: float
    job: _job_pb2.Job
    largest_memory_bytes: int
    predicted_seconds: float
    saved_seconds: float
    tasks: _containers.RepeatedCompositeFieldContainer[PlannedTask]
    unpredicted_tasks: int
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[PlannedTask, _Mapping]]] = ..., predicted_seconds: _Optional[float] = ..., unpredicted_tasks: _Optional[int] = ..., saved_seconds: _Optional[float] = ..., critical_path_seconds: _Optional[float] = ..., largest_memory_bytes: _Optional[int] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ["page_size", "page_token", "project", "read_mask"]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    project: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, project: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ["jobs", "next_page_token"]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ["job", "page_size", "page_token", "read_mask"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    page_size: int
    page_token: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, job: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ["next_page_token", "tasks"]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    next_page_token: str
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseJobRequest(_message.Message):
    __slots__ = ["job", "request_id"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    job: str
    request_id: str
    def __init__(self, job: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PlanJobRequest(_message.Message):
    __slots__ = ["spec"]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _job_pb2.JobSpec
    def __init__(self, spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class PlannedTask(_message.Message):
    __slots__ = ["bundle_group", "depends_on", "equal_task", "execution", "id", "key", "predicted_memory_bytes", "predicted_seconds", "spec", "training_images"]
    BUNDLE_GROUP_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    EQUAL_TASK_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    TRAINING_IMAGES_FIELD_NUMBER: _ClassVar[int]
    bundle_group: str
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    equal_task: str
    execution: PlannedExecution
    id: str
    key: str
    predicted_memory_bytes: int
    predicted_seconds: float
    spec: _task_pb2.TaskSpec
    training_images: int
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[_task_pb2.TaskSpec, _Mapping]] = ..., key: _Optional[str] = ..., depends_on: _Optional[_Iterable[str]] = ..., bundle_group: _Optional[str] = ..., predicted_memory_bytes: _Optional[int] = ..., execution: _Optional[_Union[PlannedExecution, str]] = ..., equal_task: _Optional[str] = ..., predicted_seconds: _Optional[float] = ..., training_images: _Optional[int] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ["attempt", "follow", "job", "offset", "task"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    follow: bool
    job: str
    offset: int
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., attempt: _Optional[int] = ..., offset: _Optional[int] = ..., follow: bool = ...) -> None: ...

class ReadLogResponse(_message.Message):
    __slots__ = ["attempt", "data", "offset"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    data: bytes
    offset: int
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., attempt: _Optional[int] = ...) -> None: ...

class ReadSeriesRequest(_message.Message):
    __slots__ = ["job", "task"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ...) -> None: ...

class ReadSeriesResponse(_message.Message):
    __slots__ = ["running", "series"]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    running: bool
    series: _report_pb2.Series
    def __init__(self, series: _Optional[_Union[_report_pb2.Series, _Mapping]] = ..., running: bool = ...) -> None: ...

class ResumeJobRequest(_message.Message):
    __slots__ = ["job", "request_id"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    job: str
    request_id: str
    def __init__(self, job: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RetryJobRequest(_message.Message):
    __slots__ = ["job", "request_id"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    job: str
    request_id: str
    def __init__(self, job: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class TaskExplanation(_message.Message):
    __slots__ = ["detail", "effective_priority", "job", "priority", "project_share", "reason", "retry_in_seconds", "state", "task", "waits_for", "workers"]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_SHARE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    detail: str
    effective_priority: int
    job: str
    priority: int
    project_share: float
    reason: WaitReason
    retry_in_seconds: float
    state: _task_pb2.TaskState
    task: str
    waits_for: _containers.RepeatedScalarFieldContainer[str]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerFit]
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., reason: _Optional[_Union[WaitReason, str]] = ..., detail: _Optional[str] = ..., waits_for: _Optional[_Iterable[str]] = ..., retry_in_seconds: _Optional[float] = ..., priority: _Optional[int] = ..., effective_priority: _Optional[int] = ..., project_share: _Optional[float] = ..., workers: _Optional[_Iterable[_Union[WorkerFit, _Mapping]]] = ...) -> None: ...

class TaskProgress(_message.Message):
    __slots__ = ["attempt", "progress", "task", "worker"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    progress: _task_pb2.Progress
    task: str
    worker: str
    def __init__(self, task: _Optional[str] = ..., worker: _Optional[str] = ..., attempt: _Optional[int] = ..., progress: _Optional[_Union[_task_pb2.Progress, _Mapping]] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ["after_revision", "include_progress", "job"]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    after_revision: int
    include_progress: bool
    job: str
    def __init__(self, job: _Optional[str] = ..., after_revision: _Optional[int] = ..., include_progress: bool = ...) -> None: ...

class WorkerFit(_message.Message):
    __slots__ = ["detail", "failed", "worker_id"]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    detail: str
    failed: Predicate
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., failed: _Optional[_Union[Predicate, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class PlannedExecution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class WaitReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Predicate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
