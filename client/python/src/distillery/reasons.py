"""Reasons of errors, and what to do about each: the table of docs/errors.md, by generate.py."""

from __future__ import annotations

INVALID_REQUEST = "INVALID_REQUEST"
RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
RESOURCE_EXISTS = "RESOURCE_EXISTS"
WRONG_STATE = "WRONG_STATE"
CONFLICT = "CONFLICT"
LIMIT_REACHED = "LIMIT_REACHED"
SERVER_UNAVAILABLE = "SERVER_UNAVAILABLE"
DEADLINE_PASSED = "DEADLINE_PASSED"
OFFSET_OUT_OF_RANGE = "OFFSET_OUT_OF_RANGE"
DATA_CORRUPT = "DATA_CORRUPT"
CREDENTIALS_INVALID = "CREDENTIALS_INVALID"
PERMISSION_DENIED = "PERMISSION_DENIED"
NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
CALL_CANCELLED = "CALL_CANCELLED"
SERVER_FAULT = "SERVER_FAULT"
LEASE_LOST = "LEASE_LOST"
BLOB_MISSING = "BLOB_MISSING"
RESULT_DIFFERS = "RESULT_DIFFERS"
WORKER_UNKNOWN = "WORKER_UNKNOWN"
REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
ETAG_MISMATCH = "ETAG_MISMATCH"
PAGE_TOKEN_INVALID = "PAGE_TOKEN_INVALID"
QUOTA_USED_UP = "QUOTA_USED_UP"
DISK_NEARLY_FULL = "DISK_NEARLY_FULL"
TOO_MANY_STREAMS = "TOO_MANY_STREAMS"
QUEUE_FULL = "QUEUE_FULL"
JOB_NOT_FINISHED = "JOB_NOT_FINISHED"
RESULT_PINNED = "RESULT_PINNED"
DATASET_IN_USE = "DATASET_IN_USE"
DATASET_NOT_READY = "DATASET_NOT_READY"
SERVER_STOPPING = "SERVER_STOPPING"

HINTS: dict[str, str] = {
    INVALID_REQUEST: 'correct the fields in BadRequest; repeating does not help',
    RESOURCE_NOT_FOUND: 'it never was there, or retention has removed it',
    RESOURCE_EXISTS: 'choose another name, or use what is there',
    WRONG_STATE: 'read the resource again; the message says what state it is in',
    CONFLICT: 'somebody else was faster: begin again from the read',
    LIMIT_REACHED: 'the message names the limit and how to raise it',
    SERVER_UNAVAILABLE: 'repeat the same request after the retry delay',
    DEADLINE_PASSED: 'repeat with the same request id: it may have happened',
    OFFSET_OUT_OF_RANGE: 'ask for the size, or for where the upload stands',
    DATA_CORRUPT: 'the blob is set aside; what made it runs again when it is needed',
    CREDENTIALS_INVALID: 'give a certificate, or a token that is neither expired nor revoked ([security](security.md))',
    PERMISSION_DENIED: 'name a project in which the caller has the role that the message asks for, or ask an administrator for it',
    NOT_IMPLEMENTED: 'the server is older than the client',
    CALL_CANCELLED: 'the caller took it back',
    SERVER_FAULT: "report it with the server's log",
    LEASE_LOST: 'worker: stop the attempt, throw its result away',
    BLOB_MISSING: 'upload the blobs in PreconditionFailure, then repeat',
    RESULT_DIFFERS: 'worker: another attempt published other bits; keep the result for whoever looks into it',
    WORKER_UNKNOWN: 'worker: register, then repeat',
    REQUEST_ID_REUSED: 'choose a new request id',
    ETAG_MISMATCH: 'read the resource again and decide anew',
    PAGE_TOKEN_INVALID: 'begin with the first page; a token fits only the request it came from',
    QUOTA_USED_UP: 'QuotaFailure names the project and its quota; wait for the retry delay if there is one, else free what it uses or have it raised',
    DISK_NEARLY_FULL: 'free space, or wait for the collector',
    TOO_MANY_STREAMS: 'close some, or wait',
    QUEUE_FULL: 'wait for the retry delay',
    JOB_NOT_FINISHED: 'wait for the job, or cancel it',
    RESULT_PINNED: 'wait for the jobs in PreconditionFailure, or cancel them',
    DATASET_IN_USE: 'wait for the jobs that use it',
    DATASET_NOT_READY: 'distill dataset get shows how far its reading is',
    SERVER_STOPPING: 'repeat; the next server has all that was acknowledged',
}
