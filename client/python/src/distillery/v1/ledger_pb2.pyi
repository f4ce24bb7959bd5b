from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
LOSS_CAUSE_CANCELLED: LossCause
LOSS_CAUSE_INFRASTRUCTURE: LossCause
LOSS_CAUSE_POISON: LossCause
LOSS_CAUSE_PREEMPTED: LossCause
LOSS_CAUSE_RESOURCE: LossCause
LOSS_CAUSE_RESULT_LOST: LossCause
LOSS_CAUSE_SUPERSEDED: LossCause
LOSS_CAUSE_UNSPECIFIED: LossCause
LOSS_CAUSE_USER: LossCause

class DeviceTimeAccount(_message.Message):
    __slots__ = ["attempts", "hits", "kind", "losses", "lost_seconds", "merged", "misses", "running_seconds", "saved_seconds", "spent_seconds"]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    LOST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAVED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    hits: int
    kind: str
    losses: _containers.RepeatedCompositeFieldContainer[DeviceTimeLoss]
    lost_seconds: float
    merged: int
    misses: int
    running_seconds: float
    saved_seconds: float
    spent_seconds: float
    def __init__(self, kind: _Optional[str] = ..., spent_seconds: _Optional[float] = ..., attempts: _Optional[int] = ..., saved_seconds: _Optional[float] = ..., hits: _Optional[int] = ..., misses: _Optional[int] = ..., merged: _Optional[int] = ..., lost_seconds: _Optional[float] = ..., losses: _Optional[_Iterable[_Union[DeviceTimeLoss, _Mapping]]] = ..., running_seconds: _Optional[float] = ...) -> None: ...

class DeviceTimeLoss(_message.Message):
    __slots__ = ["attempts", "cause", "seconds"]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    cause: LossCause
    seconds: float
    def __init__(self, cause: _Optional[_Union[LossCause, str]] = ..., seconds: _Optional[float] = ..., attempts: _Optional[int] = ...) -> None: ...

class Ledger(_message.Message):
    __slots__ = ["job", "kinds", "project", "total"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    job: str
    kinds: _containers.RepeatedCompositeFieldContainer[DeviceTimeAccount]
    project: str
    total: DeviceTimeAccount
    def __init__(self, project: _Optional[str] = ..., job: _Optional[str] = ..., total: _Optional[_Union[DeviceTimeAccount, _Mapping]] = ..., kinds: _Optional[_Iterable[_Union[DeviceTimeAccount, _Mapping]]] = ...) -> None: ...

class LossCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
