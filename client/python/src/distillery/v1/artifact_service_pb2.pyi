from distillery.v1 import worker_service_pb2 as _worker_service_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

ARTIFACT_TYPE_CHECKPOINT: ArtifactType
ARTIFACT_TYPE_DATASET: ArtifactType
ARTIFACT_TYPE_LOG: ArtifactType
ARTIFACT_TYPE_METRICS: ArtifactType
ARTIFACT_TYPE_MODEL: ArtifactType
ARTIFACT_TYPE_MODULE: ArtifactType
ARTIFACT_TYPE_REPORT: ArtifactType
ARTIFACT_TYPE_SERIES: ArtifactType
ARTIFACT_TYPE_SPANS: ArtifactType
ARTIFACT_TYPE_UNSPECIFIED: ArtifactType
DESCRIPTOR: _descriptor.FileDescriptor

class Artifact(_message.Message):
    __slots__ = ["create_time", "digest", "lineage", "size_bytes", "type"]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    digest: str
    lineage: _containers.RepeatedCompositeFieldContainer[Lineage]
    size_bytes: int
    type: ArtifactType
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., type: _Optional[_Union[ArtifactType, str]] = ..., lineage: _Optional[_Iterable[_Union[Lineage, _Mapping]]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DownloadRequest(_message.Message):
    __slots__ = ["caller_verifies", "digest", "limit", "offset"]
    CALLER_VERIFIES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    caller_verifies: bool
    digest: str
    limit: int
    offset: int
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ..., limit: _Optional[int] = ..., caller_verifies: bool = ...) -> None: ...

class DownloadResponse(_message.Message):
    __slots__ = ["data", "offset"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    offset: int
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class FinalizeUploadRequest(_message.Message):
    __slots__ = ["digest", "lease", "project", "size_bytes", "type"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    lease: _worker_service_pb2.LeaseRef
    project: str
    size_bytes: int
    type: ArtifactType
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., type: _Optional[_Union[ArtifactType, str]] = ..., project: _Optional[str] = ..., lease: _Optional[_Union[_worker_service_pb2.LeaseRef, _Mapping]] = ...) -> None: ...

class FindMissingRequest(_message.Message):
    __slots__ = ["digests"]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class FindMissingResponse(_message.Message):
    __slots__ = ["missing_digests"]
    MISSING_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    missing_digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, missing_digests: _Optional[_Iterable[str]] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ["digest"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class HttpLocation(_message.Message):
    __slots__ = ["expire_time", "headers", "method", "url"]
    class Header(_message.Message):
        __slots__ = ["name", "value"]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: str
        def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    expire_time: _timestamp_pb2.Timestamp
    headers: _containers.RepeatedCompositeFieldContainer[HttpLocation.Header]
    method: str
    url: str
    def __init__(self, method: _Optional[str] = ..., url: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[HttpLocation.Header, _Mapping]]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ["attempt", "input_digests", "job", "output", "task"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    input_digests: _containers.RepeatedScalarFieldContainer[str]
    job: str
    output: str
    task: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., attempt: _Optional[int] = ..., output: _Optional[str] = ..., input_digests: _Optional[_Iterable[str]] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ["job", "page_size", "page_token"]
    JOB_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job: str
    page_size: int
    page_token: str
    def __init__(self, job: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ["artifacts", "next_page_token"]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    next_page_token: str
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class LocateDownloadRequest(_message.Message):
    __slots__ = ["digest"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class LocateDownloadResponse(_message.Message):
    __slots__ = ["location"]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    location: HttpLocation
    def __init__(self, location: _Optional[_Union[HttpLocation, _Mapping]] = ...) -> None: ...

class LocateUploadRequest(_message.Message):
    __slots__ = ["digest", "lease", "project", "size_bytes", "upload_id"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    digest: str
    lease: _worker_service_pb2.LeaseRef
    project: str
    size_bytes: int
    upload_id: str
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., upload_id: _Optional[str] = ..., project: _Optional[str] = ..., lease: _Optional[_Union[_worker_service_pb2.LeaseRef, _Mapping]] = ...) -> None: ...

class LocateUploadResponse(_message.Message):
    __slots__ = ["already_present", "committed_bytes", "location"]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    already_present: bool
    committed_bytes: int
    location: HttpLocation
    def __init__(self, already_present: bool = ..., location: _Optional[_Union[HttpLocation, _Mapping]] = ..., committed_bytes: _Optional[int] = ...) -> None: ...

class QueryUploadRequest(_message.Message):
    __slots__ = ["digest", "upload_id"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    digest: str
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class QueryUploadResponse(_message.Message):
    __slots__ = ["committed_bytes", "complete"]
    COMMITTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    committed_bytes: int
    complete: bool
    def __init__(self, committed_bytes: _Optional[int] = ..., complete: bool = ...) -> None: ...

class UploadRequest(_message.Message):
    __slots__ = ["data", "digest", "lease", "offset", "project", "size_bytes", "type", "upload_id"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    digest: str
    lease: _worker_service_pb2.LeaseRef
    offset: int
    project: str
    size_bytes: int
    type: ArtifactType
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., type: _Optional[_Union[ArtifactType, str]] = ..., project: _Optional[str] = ..., lease: _Optional[_Union[_worker_service_pb2.LeaseRef, _Mapping]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadResponse(_message.Message):
    __slots__ = ["already_present", "digest", "size_bytes"]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    already_present: bool
    digest: str
    size_bytes: int
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., already_present: bool = ...) -> None: ...

class ArtifactType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
