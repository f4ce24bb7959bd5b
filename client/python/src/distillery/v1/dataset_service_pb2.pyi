from distillery.v1 import job_pb2 as _job_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DATASET_STATE_FAILED: DatasetState
DATASET_STATE_READING: DatasetState
DATASET_STATE_READY: DatasetState
DATASET_STATE_UNSPECIFIED: DatasetState
DESCRIPTOR: _descriptor.FileDescriptor

class CreateDatasetRequest(_message.Message):
    __slots__ = ["name", "project", "request_id", "source"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    project: str
    request_id: str
    source: DatasetSource
    def __init__(self, name: _Optional[str] = ..., source: _Optional[_Union[DatasetSource, _Mapping]] = ..., request_id: _Optional[str] = ..., project: _Optional[str] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ["create_time", "facts", "failure_message", "finish_time", "manifest_digest", "name", "project", "scan", "source", "state", "stored_bytes", "verification"]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SCAN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    facts: DatasetFacts
    failure_message: str
    finish_time: _timestamp_pb2.Timestamp
    manifest_digest: str
    name: str
    project: str
    scan: DatasetScan
    source: DatasetSource
    state: DatasetState
    stored_bytes: int
    verification: DatasetVerification
    def __init__(self, name: _Optional[str] = ..., source: _Optional[_Union[DatasetSource, _Mapping]] = ..., state: _Optional[_Union[DatasetState, str]] = ..., failure_message: _Optional[str] = ..., facts: _Optional[_Union[DatasetFacts, _Mapping]] = ..., scan: _Optional[_Union[DatasetScan, _Mapping]] = ..., verification: _Optional[_Union[DatasetVerification, _Mapping]] = ..., manifest_digest: _Optional[str] = ..., stored_bytes: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., project: _Optional[str] = ...) -> None: ...

class DatasetFacts(_message.Message):
    __slots__ = ["channels", "class_names", "classes", "deviation", "digest", "largest_height", "largest_width", "mean", "smallest_height", "smallest_width", "splits"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LARGEST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LARGEST_WIDTH_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    channels: int
    class_names: _containers.RepeatedScalarFieldContainer[str]
    classes: int
    deviation: _containers.RepeatedScalarFieldContainer[float]
    digest: str
    largest_height: int
    largest_width: int
    mean: _containers.RepeatedScalarFieldContainer[float]
    smallest_height: int
    smallest_width: int
    splits: _containers.RepeatedCompositeFieldContainer[DatasetSplit]
    def __init__(self, digest: _Optional[str] = ..., classes: _Optional[int] = ..., class_names: _Optional[_Iterable[str]] = ..., splits: _Optional[_Iterable[_Union[DatasetSplit, _Mapping]]] = ..., channels: _Optional[int] = ..., smallest_height: _Optional[int] = ..., largest_height: _Optional[int] = ..., smallest_width: _Optional[int] = ..., largest_width: _Optional[int] = ..., mean: _Optional[_Iterable[float]] = ..., deviation: _Optional[_Iterable[float]] = ...) -> None: ...

class DatasetManifest(_message.Message):
    __slots__ = ["content_bytes", "dataset_digest", "files", "shards"]
    class Shard(_message.Message):
        __slots__ = ["digest", "files", "size_bytes"]
        DIGEST_FIELD_NUMBER: _ClassVar[int]
        FILES_FIELD_NUMBER: _ClassVar[int]
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        digest: str
        files: int
        size_bytes: int
        def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., files: _Optional[int] = ...) -> None: ...
    CONTENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATASET_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    content_bytes: int
    dataset_digest: str
    files: int
    shards: _containers.RepeatedCompositeFieldContainer[DatasetManifest.Shard]
    def __init__(self, dataset_digest: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[DatasetManifest.Shard, _Mapping]]] = ..., files: _Optional[int] = ..., content_bytes: _Optional[int] = ...) -> None: ...

class DatasetScan(_message.Message):
    __slots__ = ["done", "phase", "total"]
    DONE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    done: int
    phase: str
    total: int
    def __init__(self, phase: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class DatasetSource(_message.Message):
    __slots__ = ["classes", "corrupt_images", "format", "path", "upload"]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    classes: int
    corrupt_images: _job_pb2.CorruptImagePolicy
    format: _job_pb2.DatasetFormat
    path: str
    upload: bool
    def __init__(self, path: _Optional[str] = ..., format: _Optional[_Union[_job_pb2.DatasetFormat, str]] = ..., classes: _Optional[int] = ..., corrupt_images: _Optional[_Union[_job_pb2.CorruptImagePolicy, str]] = ..., upload: bool = ...) -> None: ...

class DatasetSplit(_message.Message):
    __slots__ = ["corrupt_images", "corrupt_images_total", "images", "images_per_class", "name", "stored_bytes"]
    CORRUPT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_IMAGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_PER_CLASS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    corrupt_images: _containers.RepeatedScalarFieldContainer[str]
    corrupt_images_total: int
    images: int
    images_per_class: _containers.RepeatedScalarFieldContainer[int]
    name: str
    stored_bytes: int
    def __init__(self, name: _Optional[str] = ..., images: _Optional[int] = ..., images_per_class: _Optional[_Iterable[int]] = ..., corrupt_images: _Optional[_Iterable[str]] = ..., corrupt_images_total: _Optional[int] = ..., stored_bytes: _Optional[int] = ...) -> None: ...

class DatasetVerification(_message.Message):
    __slots__ = ["differences", "finish_time", "request_id", "state"]
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_DIFFERS: DatasetVerification.State
    STATE_FAILED: DatasetVerification.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_RUNNING: DatasetVerification.State
    STATE_SAME: DatasetVerification.State
    STATE_UNSPECIFIED: DatasetVerification.State
    differences: _containers.RepeatedScalarFieldContainer[str]
    finish_time: _timestamp_pb2.Timestamp
    request_id: str
    state: DatasetVerification.State
    def __init__(self, state: _Optional[_Union[DatasetVerification.State, str]] = ..., differences: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ..., finish_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ["allow_missing", "name"]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    allow_missing: bool
    name: str
    def __init__(self, name: _Optional[str] = ..., allow_missing: bool = ...) -> None: ...

class DeleteDatasetResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ["name"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ["page_size", "page_token"]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ["datasets", "next_page_token"]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VerifyDatasetRequest(_message.Message):
    __slots__ = ["name", "request_id"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DatasetState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
