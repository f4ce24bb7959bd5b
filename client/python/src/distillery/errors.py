"""Errors of a server and of the way to it, as exceptions that carry what the server said beside its message.

    try:
        client.submit({"dataset": {"path": "/data/cifar"}, "modules": 0})
    except InvalidRequest as error:
        for field in error.fields:
            print(field.subject, field.description)

Which class is raised follows from the gRPC code; `reason` says more exactly what happened, and stays what it is while
messages change (docs/errors.md lists all).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional, Tuple, Type

import grpc

from distillery import reasons
from distillery.rpc import error_details_pb2, status_pb2
from distillery.v1 import job_pb2

_DETAILS_KEY = "grpc-status-details-bin"


@dataclasses.dataclass(frozen=True)
class Violation:
    """One thing that is wrong. `type` is set for preconditions only."""

    subject: str
    description: str
    type: str = ""


class DistilleryError(Exception):
    """What every error of this package derives from.

    message        for people: what, why, and how to mend it
    code           name of the gRPC code, such as "NOT_FOUND"; "" for what this side found out by itself
    reason         for programs: one of `distillery.reasons`, or "" when nobody said
    hint           what to do about it; "" for a reason that this version does not know
    metadata       what the message names: ids, sizes, limits
    fields         of an InvalidRequest: each wrong field, by its path in the request ("spec.student.vmoe.experts")
    quotas         of a LimitReached: whose bound was met
    preconditions  of a WrongState: what must become true first
    resource       (type, name) of what is missing or there already; ("", "") otherwise
    retry_delay    seconds after which trying again makes sense; None when the server did not say
    """

    _hint_without_reason = ""

    def __init__(self, message: str, *, code: str = "", reason: str = "", metadata: Optional[Dict[str, str]] = None,
                 fields: Tuple[Violation, ...] = (), quotas: Tuple[Violation, ...] = (),
                 preconditions: Tuple[Violation, ...] = (), resource: Tuple[str, str] = ("", ""),
                 retry_delay: Optional[float] = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = metadata or {}
        self.fields = fields
        self.quotas = quotas
        self.preconditions = preconditions
        self.resource = resource
        self.retry_delay = retry_delay

    @property
    def hint(self) -> str:
        return reasons.HINTS.get(self.reason, "") if self.reason else self._hint_without_reason

    def __str__(self) -> str:
        text = self.message
        for wrong in (*self.fields, *self.quotas, *self.preconditions):
            if wrong.description and wrong.description not in text:
                text += f"\n  {wrong.subject}: {wrong.description}"
        return text


class InvalidRequest(DistilleryError):
    """Wrong whatever the state of the server; repeating does not help."""


class JobFileError(InvalidRequest):
    """A job file or an override that cannot be read; nothing was sent. One complaint a line, with its place."""


class NotFound(DistilleryError):
    """There is no such job, task, artifact or data set, or it belongs to a project that the caller may not see."""


class AlreadyExists(DistilleryError):
    """The name, or the request id, stands for something else."""


class WrongState(DistilleryError):
    """Not now: the resource is in a state in which this cannot be done."""


class Conflict(DistilleryError):
    """Somebody else was faster; begin again from the read."""


class LimitReached(DistilleryError):
    """A quota, a bound on size or number, or the disk is full."""


class ServerUnavailable(DistilleryError):
    """No server answered for as long as the client was patient."""

    _hint_without_reason = ("is the server running, and is this its address? A server with TLS needs tls=Tls(ca=...), with the "
                            "authority that its certificate comes from")


class DeadlineExceeded(DistilleryError):
    """An answer did not come in time. A change may have happened: repeat it with the same request id."""


class NotAuthenticated(DistilleryError):
    """The server does not know who the caller is: no token, or one that is wrong, expired or revoked."""


class NotPermitted(DistilleryError):
    """The caller's role in the project does not allow the call."""


class DataCorrupt(DistilleryError):
    """Bytes are not those that their digest promises."""


class NotSupported(DistilleryError):
    """The server is older than this client."""


class Cancelled(DistilleryError):
    """The call was taken back, by `Client.close()` from another thread for example."""


class ServerFault(DistilleryError):
    """A fault of the server; report it with the server's log."""


class JobFailed(DistilleryError):
    """A job that was waited for ended, and did not succeed. `job` is how it ended."""

    def __init__(self, job: job_pb2.Job) -> None:
        cancelled = job.state == job_pb2.JOB_STATE_CANCELLED
        super().__init__(f"job {job.id} {'was cancelled' if cancelled else 'failed: ' + job.failure_message}",
                         resource=("job", job.id))
        self.job = job


class WaitTimeout(DistilleryError, TimeoutError):
    """A job was not over in time; it goes on. `job` is its last known state."""

    def __init__(self, job: job_pb2.Job, seconds: float) -> None:
        super().__init__(f"job {job.id} is not over after {seconds:g} s; it goes on", resource=("job", job.id))
        self.job = job


class WeightsError(DistilleryError):
    """A weight file is damaged, or not of the network that it should be of."""


_CLASSES: Dict[str, Type[DistilleryError]] = {
    "CANCELLED": Cancelled, "INVALID_ARGUMENT": InvalidRequest, "OUT_OF_RANGE": InvalidRequest,
    "DEADLINE_EXCEEDED": DeadlineExceeded, "NOT_FOUND": NotFound, "ALREADY_EXISTS": AlreadyExists,
    "PERMISSION_DENIED": NotPermitted, "UNAUTHENTICATED": NotAuthenticated, "RESOURCE_EXHAUSTED": LimitReached,
    "FAILED_PRECONDITION": WrongState, "ABORTED": Conflict, "UNIMPLEMENTED": NotSupported,
    "UNAVAILABLE": ServerUnavailable, "DATA_LOSS": DataCorrupt,
}


def from_rpc_error(error: grpc.RpcError, action: str, server: str) -> DistilleryError:
    """Makes the exception for a failed call. `action`: what it was to do, such as "submit job"."""
    code: str = error.code().name
    details: Dict[str, Any] = {}
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            details = _read_details(value)
    message = f"cannot {action}: {error.details()}; server={server}"
    return _CLASSES.get(code, ServerFault)(message, code=code, **details)


def _read_details(serialized: bytes) -> Dict[str, Any]:
    status = status_pb2.Status()
    try:
        status.ParseFromString(serialized)
    except Exception:  # Each protobuf runtime has its own; details that nobody can read are no details.
        return {}
    found: Dict[str, Any] = {}
    for detail in status.details:
        kind = detail.type_url.rpartition("/google.rpc.")[2]
        message = getattr(error_details_pb2, kind)() if kind in error_details_pb2.DESCRIPTOR.message_types_by_name else None
        if message is None:
            continue
        try:
            message.ParseFromString(detail.value)
        except Exception:  # As above.
            continue
        found.update(_of_kind(kind, message))
    return found


def _of_kind(kind: str, message: Any) -> Dict[str, Any]:
    if kind == "ErrorInfo":
        return {"reason": message.reason, "metadata": dict(message.metadata)}
    if kind == "RetryInfo":
        return {"retry_delay": message.retry_delay.seconds + message.retry_delay.nanos / 1e9}
    if kind == "BadRequest":
        return {"fields": tuple(Violation(v.field, v.description) for v in message.field_violations)}
    if kind == "QuotaFailure":
        return {"quotas": _violations(message.violations)}
    if kind == "PreconditionFailure":
        return {"preconditions": _violations(message.violations)}
    if kind == "ResourceInfo":
        return {"resource": (message.resource_type, message.resource_name)}
    return {}


def _violations(entries: Any) -> Tuple[Violation, ...]:
    return tuple(Violation(v.subject, v.description, getattr(v, "type", "")) for v in entries)
