from distillery.v1 import task_pb2 as _task_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

CACHE_OUTCOME_DIFFERS: CacheOutcome
CACHE_OUTCOME_FIRST: CacheOutcome
CACHE_OUTCOME_FOLLOWS: CacheOutcome
CACHE_OUTCOME_HIT: CacheOutcome
CACHE_OUTCOME_NOT_A_TASK: CacheOutcome
CACHE_OUTCOME_NOT_SHARED: CacheOutcome
CACHE_OUTCOME_NO_RESULT: CacheOutcome
CACHE_OUTCOME_PENDING: CacheOutcome
CACHE_OUTCOME_UNSPECIFIED: CacheOutcome
DESCRIPTOR: _descriptor.FileDescriptor

class CacheStats(_message.Message):
    __slots__ = ["rows"]
    class Row(_message.Message):
        __slots__ = ["bytes", "entries", "hits", "kind", "merged", "misses", "project", "saved_seconds"]
        BYTES_FIELD_NUMBER: _ClassVar[int]
        ENTRIES_FIELD_NUMBER: _ClassVar[int]
        HITS_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        MERGED_FIELD_NUMBER: _ClassVar[int]
        MISSES_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        SAVED_SECONDS_FIELD_NUMBER: _ClassVar[int]
        bytes: int
        entries: int
        hits: int
        kind: str
        merged: int
        misses: int
        project: str
        saved_seconds: float
        def __init__(self, project: _Optional[str] = ..., kind: _Optional[str] = ..., entries: _Optional[int] = ..., bytes: _Optional[int] = ..., hits: _Optional[int] = ..., misses: _Optional[int] = ..., merged: _Optional[int] = ..., saved_seconds: _Optional[float] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[CacheStats.Row]
    def __init__(self, rows: _Optional[_Iterable[_Union[CacheStats.Row, _Mapping]]] = ...) -> None: ...

class CachedResult(_message.Message):
    __slots__ = ["create_time", "device_seconds", "made_by", "outputs", "pinned_by", "usable"]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MADE_BY_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PINNED_BY_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    device_seconds: float
    made_by: str
    outputs: _containers.RepeatedCompositeFieldContainer[_task_pb2.ArtifactRef]
    pinned_by: _containers.RepeatedScalarFieldContainer[str]
    usable: bool
    def __init__(self, made_by: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., device_seconds: _Optional[float] = ..., outputs: _Optional[_Iterable[_Union[_task_pb2.ArtifactRef, _Mapping]]] = ..., usable: bool = ..., pinned_by: _Optional[_Iterable[str]] = ...) -> None: ...

class EvictResultRequest(_message.Message):
    __slots__ = ["job", "key", "project", "request_id", "task"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    key: str
    project: str
    request_id: str
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., project: _Optional[str] = ..., key: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class EvictResultResponse(_message.Message):
    __slots__ = ["evicted", "key"]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    evicted: bool
    key: str
    def __init__(self, key: _Optional[str] = ..., evicted: bool = ...) -> None: ...

class ExplainKeyRequest(_message.Message):
    __slots__ = ["job", "key", "project", "task"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: str
    key: str
    project: str
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., project: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class GetCacheStatsRequest(_message.Message):
    __slots__ = ["project"]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class KeyDifference(_message.Message):
    __slots__ = ["earlier_value", "path", "task", "value"]
    EARLIER_VALUE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    earlier_value: str
    path: str
    task: str
    value: str
    def __init__(self, task: _Optional[str] = ..., path: _Optional[str] = ..., value: _Optional[str] = ..., earlier_value: _Optional[str] = ...) -> None: ...

class KeyExplanation(_message.Message):
    __slots__ = ["compared_with", "detail", "differences", "key", "kind", "outcome", "parts", "project", "result", "task", "users"]
    COMPARED_WITH_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    compared_with: str
    detail: str
    differences: _containers.RepeatedCompositeFieldContainer[KeyDifference]
    key: str
    kind: str
    outcome: CacheOutcome
    parts: _containers.RepeatedCompositeFieldContainer[KeyPart]
    project: str
    result: CachedResult
    task: str
    users: _containers.RepeatedCompositeFieldContainer[KeyUser]
    def __init__(self, project: _Optional[str] = ..., key: _Optional[str] = ..., task: _Optional[str] = ..., kind: _Optional[str] = ..., outcome: _Optional[_Union[CacheOutcome, str]] = ..., detail: _Optional[str] = ..., result: _Optional[_Union[CachedResult, _Mapping]] = ..., users: _Optional[_Iterable[_Union[KeyUser, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[KeyPart, _Mapping]]] = ..., compared_with: _Optional[str] = ..., differences: _Optional[_Iterable[_Union[KeyDifference, _Mapping]]] = ...) -> None: ...

class KeyPart(_message.Message):
    __slots__ = ["path", "value"]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    path: str
    value: str
    def __init__(self, path: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class KeyUser(_message.Message):
    __slots__ = ["made", "state", "task"]
    MADE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    made: bool
    state: _task_pb2.TaskState
    task: str
    def __init__(self, task: _Optional[str] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., made: bool = ...) -> None: ...

class CacheOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
