from distillery.v1 import report_pb2 as _report_pb2
from distillery.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AcquireTasksRequest(_message.Message):
    __slots__ = ["cached_digests", "max_lease_sets", "request_id", "wait_seconds", "warm_jobs", "worker_id"]
    CACHED_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LEASE_SETS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WARM_JOBS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    cached_digests: _containers.RepeatedScalarFieldContainer[str]
    max_lease_sets: int
    request_id: str
    wait_seconds: float
    warm_jobs: _containers.RepeatedScalarFieldContainer[str]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., request_id: _Optional[str] = ..., max_lease_sets: _Optional[int] = ..., wait_seconds: _Optional[float] = ..., cached_digests: _Optional[_Iterable[str]] = ..., warm_jobs: _Optional[_Iterable[str]] = ...) -> None: ...

class AcquireTasksResponse(_message.Message):
    __slots__ = ["directives", "lease_sets"]
    DIRECTIVES_FIELD_NUMBER: _ClassVar[int]
    LEASE_SETS_FIELD_NUMBER: _ClassVar[int]
    directives: _containers.RepeatedCompositeFieldContainer[Directive]
    lease_sets: _containers.RepeatedCompositeFieldContainer[LeaseSet]
    def __init__(self, lease_sets: _Optional[_Iterable[_Union[LeaseSet, _Mapping]]] = ..., directives: _Optional[_Iterable[_Union[Directive, _Mapping]]] = ...) -> None: ...

class CompleteAttemptsRequest(_message.Message):
    __slots__ = ["items", "worker_id"]
    class Item(_message.Message):
        __slots__ = ["lease", "observations", "results", "stats"]
        LEASE_FIELD_NUMBER: _ClassVar[int]
        OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
        RESULTS_FIELD_NUMBER: _ClassVar[int]
        STATS_FIELD_NUMBER: _ClassVar[int]
        lease: LeaseRef
        observations: _containers.RepeatedCompositeFieldContainer[_task_pb2.ArtifactRef]
        results: _containers.RepeatedCompositeFieldContainer[_task_pb2.ArtifactRef]
        stats: _task_pb2.AttemptStats
        def __init__(self, lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., results: _Optional[_Iterable[_Union[_task_pb2.ArtifactRef, _Mapping]]] = ..., observations: _Optional[_Iterable[_Union[_task_pb2.ArtifactRef, _Mapping]]] = ..., stats: _Optional[_Union[_task_pb2.AttemptStats, _Mapping]] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CompleteAttemptsRequest.Item]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[CompleteAttemptsRequest.Item, _Mapping]]] = ...) -> None: ...

class CompleteAttemptsResponse(_message.Message):
    __slots__ = ["statuses"]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedCompositeFieldContainer[ItemStatus]
    def __init__(self, statuses: _Optional[_Iterable[_Union[ItemStatus, _Mapping]]] = ...) -> None: ...

class Directive(_message.Message):
    __slots__ = ["gang_contacts", "gang_view", "kind", "lease"]
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    GANG_CONTACTS_FIELD_NUMBER: _ClassVar[int]
    GANG_VIEW_FIELD_NUMBER: _ClassVar[int]
    KIND_ABANDON_ATTEMPT: Directive.Kind
    KIND_DRAIN: Directive.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    KIND_JOIN_GANG: Directive.Kind
    KIND_PREEMPT_ATTEMPT: Directive.Kind
    KIND_REGISTER: Directive.Kind
    KIND_RELEASE_IF_UNSTARTED: Directive.Kind
    KIND_STOP_ATTEMPT: Directive.Kind
    KIND_UNSPECIFIED: Directive.Kind
    LEASE_FIELD_NUMBER: _ClassVar[int]
    gang_contacts: _containers.RepeatedScalarFieldContainer[bytes]
    gang_view: str
    kind: Directive.Kind
    lease: LeaseRef
    def __init__(self, kind: _Optional[_Union[Directive.Kind, str]] = ..., lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., gang_contacts: _Optional[_Iterable[bytes]] = ..., gang_view: _Optional[str] = ...) -> None: ...

class FailAttemptsRequest(_message.Message):
    __slots__ = ["items", "worker_id"]
    class Item(_message.Message):
        __slots__ = ["bad_inputs", "failure_class", "lease", "lost_gang", "message", "observations", "stats"]
        BAD_INPUTS_FIELD_NUMBER: _ClassVar[int]
        FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
        LEASE_FIELD_NUMBER: _ClassVar[int]
        LOST_GANG_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
        STATS_FIELD_NUMBER: _ClassVar[int]
        bad_inputs: _containers.RepeatedScalarFieldContainer[str]
        failure_class: _task_pb2.FailureClass
        lease: LeaseRef
        lost_gang: bool
        message: str
        observations: _containers.RepeatedCompositeFieldContainer[_task_pb2.ArtifactRef]
        stats: _task_pb2.AttemptStats
        def __init__(self, lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., failure_class: _Optional[_Union[_task_pb2.FailureClass, str]] = ..., message: _Optional[str] = ..., observations: _Optional[_Iterable[_Union[_task_pb2.ArtifactRef, _Mapping]]] = ..., stats: _Optional[_Union[_task_pb2.AttemptStats, _Mapping]] = ..., bad_inputs: _Optional[_Iterable[str]] = ..., lost_gang: bool = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[FailAttemptsRequest.Item]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[FailAttemptsRequest.Item, _Mapping]]] = ...) -> None: ...

class FailAttemptsResponse(_message.Message):
    __slots__ = ["statuses"]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedCompositeFieldContainer[ItemStatus]
    def __init__(self, statuses: _Optional[_Iterable[_Union[ItemStatus, _Mapping]]] = ...) -> None: ...

class GangRank(_message.Message):
    __slots__ = ["rank", "size"]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    rank: int
    size: int
    def __init__(self, rank: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ["checkpoint", "checkpoint_step", "gang", "inputs", "lease", "spec", "traceparent"]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_STEP_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    checkpoint: _task_pb2.ArtifactRef
    checkpoint_step: int
    gang: GangRank
    inputs: _containers.RepeatedCompositeFieldContainer[ResolvedInput]
    lease: LeaseRef
    spec: _task_pb2.TaskSpec
    traceparent: str
    def __init__(self, lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., spec: _Optional[_Union[_task_pb2.TaskSpec, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[ResolvedInput, _Mapping]]] = ..., checkpoint: _Optional[_Union[_task_pb2.ArtifactRef, _Mapping]] = ..., checkpoint_step: _Optional[int] = ..., traceparent: _Optional[str] = ..., gang: _Optional[_Union[GangRank, _Mapping]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ["leases", "worker_id"]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[LeaseProgress]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., leases: _Optional[_Iterable[_Union[LeaseProgress, _Mapping]]] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ["directives", "next_heartbeat_seconds", "points_known", "wanted_logs"]
    class PointsKnownEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    DIRECTIVES_FIELD_NUMBER: _ClassVar[int]
    NEXT_HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    POINTS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    WANTED_LOGS_FIELD_NUMBER: _ClassVar[int]
    directives: _containers.RepeatedCompositeFieldContainer[Directive]
    next_heartbeat_seconds: float
    points_known: _containers.ScalarMap[str, int]
    wanted_logs: _containers.RepeatedCompositeFieldContainer[LogWish]
    def __init__(self, directives: _Optional[_Iterable[_Union[Directive, _Mapping]]] = ..., next_heartbeat_seconds: _Optional[float] = ..., wanted_logs: _Optional[_Iterable[_Union[LogWish, _Mapping]]] = ..., points_known: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ItemStatus(_message.Message):
    __slots__ = ["code", "lease", "message", "metadata", "reason"]
    class MetadataEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: int
    lease: LeaseRef
    message: str
    metadata: _containers.ScalarMap[str, str]
    reason: str
    def __init__(self, lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class LeaseProgress(_message.Message):
    __slots__ = ["checkpoint", "checkpoint_step", "first_point", "gang_contact", "gang_view", "lease", "points", "progress", "started"]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_STEP_FIELD_NUMBER: _ClassVar[int]
    FIRST_POINT_FIELD_NUMBER: _ClassVar[int]
    GANG_CONTACT_FIELD_NUMBER: _ClassVar[int]
    GANG_VIEW_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    checkpoint: _task_pb2.ArtifactRef
    checkpoint_step: int
    first_point: int
    gang_contact: bytes
    gang_view: str
    lease: LeaseRef
    points: _containers.RepeatedCompositeFieldContainer[_report_pb2.Series.Point]
    progress: _task_pb2.Progress
    started: bool
    def __init__(self, lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., progress: _Optional[_Union[_task_pb2.Progress, _Mapping]] = ..., checkpoint: _Optional[_Union[_task_pb2.ArtifactRef, _Mapping]] = ..., checkpoint_step: _Optional[int] = ..., started: bool = ..., points: _Optional[_Iterable[_Union[_report_pb2.Series.Point, _Mapping]]] = ..., first_point: _Optional[int] = ..., gang_contact: _Optional[bytes] = ..., gang_view: _Optional[str] = ...) -> None: ...

class LeaseRef(_message.Message):
    __slots__ = ["attempt_number", "job", "lease_id", "task"]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    attempt_number: int
    job: str
    lease_id: str
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., attempt_number: _Optional[int] = ..., lease_id: _Optional[str] = ...) -> None: ...

class LeaseSet(_message.Message):
    __slots__ = ["grants", "id"]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    id: str
    def __init__(self, id: _Optional[str] = ..., grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ...) -> None: ...

class LogWish(_message.Message):
    __slots__ = ["lease_id", "offset"]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    offset: int
    def __init__(self, lease_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class RegisterWorkerRequest(_message.Message):
    __slots__ = ["leases", "worker"]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[LeaseRef]
    worker: WorkerInfo
    def __init__(self, worker: _Optional[_Union[WorkerInfo, _Mapping]] = ..., leases: _Optional[_Iterable[_Union[LeaseRef, _Mapping]]] = ...) -> None: ...

class RegisterWorkerResponse(_message.Message):
    __slots__ = ["directives", "heartbeat_interval_seconds", "lease_seconds"]
    DIRECTIVES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    directives: _containers.RepeatedCompositeFieldContainer[Directive]
    heartbeat_interval_seconds: float
    lease_seconds: float
    def __init__(self, heartbeat_interval_seconds: _Optional[float] = ..., lease_seconds: _Optional[float] = ..., directives: _Optional[_Iterable[_Union[Directive, _Mapping]]] = ...) -> None: ...

class ReleaseLeasesRequest(_message.Message):
    __slots__ = ["items", "worker_id"]
    class Item(_message.Message):
        __slots__ = ["checkpoint", "checkpoint_step", "lease", "observations", "reason", "stats"]
        CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
        CHECKPOINT_STEP_FIELD_NUMBER: _ClassVar[int]
        LEASE_FIELD_NUMBER: _ClassVar[int]
        OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        STATS_FIELD_NUMBER: _ClassVar[int]
        checkpoint: _task_pb2.ArtifactRef
        checkpoint_step: int
        lease: LeaseRef
        observations: _containers.RepeatedCompositeFieldContainer[_task_pb2.ArtifactRef]
        reason: str
        stats: _task_pb2.AttemptStats
        def __init__(self, lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., reason: _Optional[str] = ..., checkpoint: _Optional[_Union[_task_pb2.ArtifactRef, _Mapping]] = ..., checkpoint_step: _Optional[int] = ..., observations: _Optional[_Iterable[_Union[_task_pb2.ArtifactRef, _Mapping]]] = ..., stats: _Optional[_Union[_task_pb2.AttemptStats, _Mapping]] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ReleaseLeasesRequest.Item]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ReleaseLeasesRequest.Item, _Mapping]]] = ...) -> None: ...

class ReleaseLeasesResponse(_message.Message):
    __slots__ = ["statuses"]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedCompositeFieldContainer[ItemStatus]
    def __init__(self, statuses: _Optional[_Iterable[_Union[ItemStatus, _Mapping]]] = ...) -> None: ...

class ResolvedInput(_message.Message):
    __slots__ = ["digest", "name", "size_bytes"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    name: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class SendLogRequest(_message.Message):
    __slots__ = ["data", "lease", "offset", "worker_id"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    lease: LeaseRef
    offset: int
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., lease: _Optional[_Union[LeaseRef, _Mapping]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class SendLogResponse(_message.Message):
    __slots__ = ["next_offset", "wanted"]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    next_offset: int
    wanted: bool
    def __init__(self, wanted: bool = ..., next_offset: _Optional[int] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ["device_kind", "driver_version", "gang_network", "hostname", "labels", "numeric_classes", "slot_memory_bytes", "slots", "version", "worker_id"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEVICE_KIND_FIELD_NUMBER: _ClassVar[int]
    DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    GANG_NETWORK_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_CLASSES_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOT_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    device_kind: str
    driver_version: str
    gang_network: str
    hostname: str
    labels: _containers.ScalarMap[str, str]
    numeric_classes: _containers.RepeatedScalarFieldContainer[str]
    slot_memory_bytes: int
    slots: int
    version: str
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., hostname: _Optional[str] = ..., version: _Optional[str] = ..., slots: _Optional[int] = ..., device_kind: _Optional[str] = ..., numeric_classes: _Optional[_Iterable[str]] = ..., slot_memory_bytes: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., driver_version: _Optional[str] = ..., gang_network: _Optional[str] = ...) -> None: ...
