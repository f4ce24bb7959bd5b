from distillery.v1 import ledger_pb2 as _ledger_pb2
from distillery.v1 import worker_service_pb2 as _worker_service_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
QUARANTINE_AUTOMATIC: Quarantine
QUARANTINE_MANUAL: Quarantine
QUARANTINE_UNSPECIFIED: Quarantine
WORKER_STATE_BUSY: WorkerState
WORKER_STATE_DRAINING: WorkerState
WORKER_STATE_LOST: WorkerState
WORKER_STATE_QUARANTINED: WorkerState
WORKER_STATE_READY: WorkerState
WORKER_STATE_UNSPECIFIED: WorkerState

class DeleteQuotaRequest(_message.Message):
    __slots__ = ["project", "request_id"]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    request_id: str
    def __init__(self, project: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteQuotaResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ["deadline_seconds", "worker_id"]
    DEADLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    deadline_seconds: float
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., deadline_seconds: _Optional[float] = ...) -> None: ...

class ListLedgersRequest(_message.Message):
    __slots__ = ["project"]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class ListLedgersResponse(_message.Message):
    __slots__ = ["ledgers"]
    LEDGERS_FIELD_NUMBER: _ClassVar[int]
    ledgers: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.Ledger]
    def __init__(self, ledgers: _Optional[_Iterable[_Union[_ledger_pb2.Ledger, _Mapping]]] = ...) -> None: ...

class ListQuotasRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ListQuotasResponse(_message.Message):
    __slots__ = ["quotas"]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    quotas: _containers.RepeatedCompositeFieldContainer[Quota]
    def __init__(self, quotas: _Optional[_Iterable[_Union[Quota, _Mapping]]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ["page_size", "page_token"]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ["next_page_token", "workers"]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    next_page_token: str
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class QuarantineWorkerRequest(_message.Message):
    __slots__ = ["reason", "worker_id"]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    reason: str
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ["max_blob_bytes", "max_running_tasks", "max_slots", "max_submits_per_hour", "project", "running_tasks", "share", "slots_in_use", "weight"]
    MAX_BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_TASKS_FIELD_NUMBER: _ClassVar[int]
    MAX_SLOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_SUBMITS_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_TASKS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_IN_USE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    max_blob_bytes: int
    max_running_tasks: int
    max_slots: int
    max_submits_per_hour: int
    project: str
    running_tasks: int
    share: float
    slots_in_use: int
    weight: int
    def __init__(self, project: _Optional[str] = ..., weight: _Optional[int] = ..., max_slots: _Optional[int] = ..., max_running_tasks: _Optional[int] = ..., max_blob_bytes: _Optional[int] = ..., max_submits_per_hour: _Optional[int] = ..., slots_in_use: _Optional[int] = ..., running_tasks: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class ResumeWorkerRequest(_message.Message):
    __slots__ = ["worker_id"]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class SetQuotaRequest(_message.Message):
    __slots__ = ["quota", "request_id"]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    quota: Quota
    request_id: str
    def __init__(self, quota: _Optional[_Union[Quota, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ["drain_deadline", "draining", "failures_in_a_row", "info", "last_seen_time", "leases", "quarantine", "quarantine_reason", "slots_in_use", "state"]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    DRAIN_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_IN_A_ROW_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_REASON_FIELD_NUMBER: _ClassVar[int]
    SLOTS_IN_USE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    drain_deadline: _timestamp_pb2.Timestamp
    draining: bool
    failures_in_a_row: int
    info: _worker_service_pb2.WorkerInfo
    last_seen_time: _timestamp_pb2.Timestamp
    leases: _containers.RepeatedCompositeFieldContainer[_worker_service_pb2.LeaseRef]
    quarantine: Quarantine
    quarantine_reason: str
    slots_in_use: int
    state: WorkerState
    def __init__(self, info: _Optional[_Union[_worker_service_pb2.WorkerInfo, _Mapping]] = ..., state: _Optional[_Union[WorkerState, str]] = ..., leases: _Optional[_Iterable[_Union[_worker_service_pb2.LeaseRef, _Mapping]]] = ..., last_seen_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., draining: bool = ..., drain_deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., quarantine: _Optional[_Union[Quarantine, str]] = ..., quarantine_reason: _Optional[str] = ..., failures_in_a_row: _Optional[int] = ..., slots_in_use: _Optional[int] = ...) -> None: ...

class WorkerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Quarantine(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
