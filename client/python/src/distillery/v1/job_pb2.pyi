from distillery.v1 import model_pb2 as _model_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

BASELINE_KIND_ALL_IMAGES: BaselineKind
BASELINE_KIND_EQUAL_COMPUTE: BaselineKind
BASELINE_KIND_FINETUNE_IMAGES: BaselineKind
BASELINE_KIND_UNSPECIFIED: BaselineKind
BASELINE_KIND_WHOLE_MODEL_DISTILLATION: BaselineKind
CORRUPT_IMAGE_POLICY_FAIL: CorruptImagePolicy
CORRUPT_IMAGE_POLICY_SKIP: CorruptImagePolicy
CORRUPT_IMAGE_POLICY_UNSPECIFIED: CorruptImagePolicy
DATASET_FORMAT_CIFAR10: DatasetFormat
DATASET_FORMAT_CIFAR100: DatasetFormat
DATASET_FORMAT_CUB: DatasetFormat
DATASET_FORMAT_IDX: DatasetFormat
DATASET_FORMAT_IMAGE_FOLDER: DatasetFormat
DATASET_FORMAT_IMAGE_FOLDER_TEST: DatasetFormat
DATASET_FORMAT_TAR_SHARDS: DatasetFormat
DATASET_FORMAT_TINY_IMAGENET: DatasetFormat
DATASET_FORMAT_UNSPECIFIED: DatasetFormat
DESCRIPTOR: _descriptor.FileDescriptor
FEW_SHOT_FEATURES_CACHED: FewShotFeatures
FEW_SHOT_FEATURES_LIVE: FewShotFeatures
FEW_SHOT_FEATURES_UNSPECIFIED: FewShotFeatures
JOB_STATE_CANCELLED: JobState
JOB_STATE_CANCELLING: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_PAUSED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_UNSPECIFIED: JobState

class DatasetSpec(_message.Message):
    __slots__ = ["channels", "classes", "corrupt_images", "deviation", "digest", "format", "image_size", "input_size", "manifest", "mean", "name", "path", "subset_seed", "train_images", "train_size"]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    INPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SUBSET_SEED_FIELD_NUMBER: _ClassVar[int]
    TRAIN_IMAGES_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SIZE_FIELD_NUMBER: _ClassVar[int]
    channels: int
    classes: int
    corrupt_images: CorruptImagePolicy
    deviation: _containers.RepeatedScalarFieldContainer[float]
    digest: str
    format: DatasetFormat
    image_size: int
    input_size: int
    manifest: str
    mean: _containers.RepeatedScalarFieldContainer[float]
    name: str
    path: str
    subset_seed: int
    train_images: int
    train_size: int
    def __init__(self, path: _Optional[str] = ..., format: _Optional[_Union[DatasetFormat, str]] = ..., classes: _Optional[int] = ..., train_images: _Optional[int] = ..., digest: _Optional[str] = ..., image_size: _Optional[int] = ..., channels: _Optional[int] = ..., train_size: _Optional[int] = ..., subset_seed: _Optional[int] = ..., name: _Optional[str] = ..., input_size: _Optional[int] = ..., corrupt_images: _Optional[_Union[CorruptImagePolicy, str]] = ..., mean: _Optional[_Iterable[float]] = ..., deviation: _Optional[_Iterable[float]] = ..., manifest: _Optional[str] = ...) -> None: ...

class EvaluationSpec(_message.Message):
    __slots__ = ["batch_size", "corruption_images", "corruptions", "out_of_distribution", "seed", "severities"]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    CORRUPTIONS_FIELD_NUMBER: _ClassVar[int]
    CORRUPTION_IMAGES_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SEVERITIES_FIELD_NUMBER: _ClassVar[int]
    batch_size: int
    corruption_images: int
    corruptions: _containers.RepeatedScalarFieldContainer[str]
    out_of_distribution: _containers.RepeatedCompositeFieldContainer[OutOfDistributionSet]
    seed: int
    severities: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, corruptions: _Optional[_Iterable[str]] = ..., severities: _Optional[_Iterable[int]] = ..., corruption_images: _Optional[int] = ..., seed: _Optional[int] = ..., batch_size: _Optional[int] = ..., out_of_distribution: _Optional[_Iterable[_Union[OutOfDistributionSet, _Mapping]]] = ...) -> None: ...

class ExecutionSpec(_message.Message):
    __slots__ = ["checkpoint_interval_seconds", "device_kind", "labels", "max_bundle", "max_infrastructure_failures", "max_user_failures", "min_driver_version", "numeric_class", "priority"]
    CHECKPOINT_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_KIND_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    MAX_INFRASTRUCTURE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    MAX_USER_FAILURES_FIELD_NUMBER: _ClassVar[int]
    MIN_DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    checkpoint_interval_seconds: float
    device_kind: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    max_bundle: int
    max_infrastructure_failures: int
    max_user_failures: int
    min_driver_version: str
    numeric_class: str
    priority: int
    def __init__(self, numeric_class: _Optional[str] = ..., max_user_failures: _Optional[int] = ..., max_infrastructure_failures: _Optional[int] = ..., max_bundle: _Optional[int] = ..., checkpoint_interval_seconds: _Optional[float] = ..., priority: _Optional[int] = ..., device_kind: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., min_driver_version: _Optional[str] = ...) -> None: ...

class FewShotSpec(_message.Message):
    __slots__ = ["dataset", "features", "name", "recipe", "seed", "shots", "test_images", "ways"]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SHOTS_FIELD_NUMBER: _ClassVar[int]
    TEST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    WAYS_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetSpec
    features: FewShotFeatures
    name: str
    recipe: _model_pb2.TrainingRecipe
    seed: int
    shots: int
    test_images: int
    ways: int
    def __init__(self, name: _Optional[str] = ..., dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., ways: _Optional[int] = ..., shots: _Optional[int] = ..., test_images: _Optional[int] = ..., seed: _Optional[int] = ..., recipe: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., features: _Optional[_Union[FewShotFeatures, str]] = ...) -> None: ...

class GivenArtifacts(_message.Message):
    __slots__ = ["meta", "student", "student_modules", "teacher", "teacher_stages"]
    META_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    STUDENT_MODULES_FIELD_NUMBER: _ClassVar[int]
    TEACHER_FIELD_NUMBER: _ClassVar[int]
    TEACHER_STAGES_FIELD_NUMBER: _ClassVar[int]
    meta: str
    student: str
    student_modules: _containers.RepeatedScalarFieldContainer[str]
    teacher: str
    teacher_stages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, meta: _Optional[str] = ..., teacher: _Optional[str] = ..., teacher_stages: _Optional[_Iterable[str]] = ..., student_modules: _Optional[_Iterable[str]] = ..., student: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ["create_time", "etag", "failure_message", "finish_time", "id", "name", "revision", "spec", "state", "tasks_reused", "tasks_running", "tasks_succeeded", "tasks_total"]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    FAILURE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASKS_REUSED_FIELD_NUMBER: _ClassVar[int]
    TASKS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    TASKS_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    TASKS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    etag: str
    failure_message: str
    finish_time: _timestamp_pb2.Timestamp
    id: str
    name: str
    revision: int
    spec: JobSpec
    state: JobState
    tasks_reused: int
    tasks_running: int
    tasks_succeeded: int
    tasks_total: int
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., failure_message: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., tasks_total: _Optional[int] = ..., tasks_succeeded: _Optional[int] = ..., tasks_running: _Optional[int] = ..., tasks_reused: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ["baselines", "dataset", "display_name", "distill_modules", "distillation", "evaluation", "execution", "few_shot", "finetune_student", "finetune_teacher", "given", "incubate_teacher", "meta", "modules", "patch_size", "preset", "pretrain_meta", "project", "quality_gate", "seed", "student", "teacher"]
    BASELINES_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DISTILLATION_FIELD_NUMBER: _ClassVar[int]
    DISTILL_MODULES_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    FEW_SHOT_FIELD_NUMBER: _ClassVar[int]
    FINETUNE_STUDENT_FIELD_NUMBER: _ClassVar[int]
    FINETUNE_TEACHER_FIELD_NUMBER: _ClassVar[int]
    GIVEN_FIELD_NUMBER: _ClassVar[int]
    INCUBATE_TEACHER_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    PATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    PRETRAIN_META_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_GATE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    TEACHER_FIELD_NUMBER: _ClassVar[int]
    baselines: _containers.RepeatedScalarFieldContainer[BaselineKind]
    dataset: DatasetSpec
    display_name: str
    distill_modules: _model_pb2.TrainingRecipe
    distillation: _model_pb2.DistillationSpec
    evaluation: EvaluationSpec
    execution: ExecutionSpec
    few_shot: _containers.RepeatedCompositeFieldContainer[FewShotSpec]
    finetune_student: _model_pb2.TrainingRecipe
    finetune_teacher: _model_pb2.TrainingRecipe
    given: GivenArtifacts
    incubate_teacher: _model_pb2.TrainingRecipe
    meta: _model_pb2.VitSpec
    modules: int
    patch_size: int
    preset: str
    pretrain_meta: _model_pb2.TrainingRecipe
    project: str
    quality_gate: QualityGateSpec
    seed: int
    student: _model_pb2.StudentSpec
    teacher: _model_pb2.VitSpec
    def __init__(self, display_name: _Optional[str] = ..., project: _Optional[str] = ..., seed: _Optional[int] = ..., dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., modules: _Optional[int] = ..., patch_size: _Optional[int] = ..., meta: _Optional[_Union[_model_pb2.VitSpec, _Mapping]] = ..., teacher: _Optional[_Union[_model_pb2.VitSpec, _Mapping]] = ..., student: _Optional[_Union[_model_pb2.StudentSpec, _Mapping]] = ..., pretrain_meta: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., incubate_teacher: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., finetune_teacher: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., distill_modules: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., finetune_student: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., distillation: _Optional[_Union[_model_pb2.DistillationSpec, _Mapping]] = ..., baselines: _Optional[_Iterable[_Union[BaselineKind, str]]] = ..., evaluation: _Optional[_Union[EvaluationSpec, _Mapping]] = ..., execution: _Optional[_Union[ExecutionSpec, _Mapping]] = ..., given: _Optional[_Union[GivenArtifacts, _Mapping]] = ..., preset: _Optional[str] = ..., quality_gate: _Optional[_Union[QualityGateSpec, _Mapping]] = ..., few_shot: _Optional[_Iterable[_Union[FewShotSpec, _Mapping]]] = ...) -> None: ...

class OutOfDistributionSet(_message.Message):
    __slots__ = ["classes", "dataset", "name"]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedScalarFieldContainer[int]
    dataset: DatasetSpec
    name: str
    def __init__(self, name: _Optional[str] = ..., dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., classes: _Optional[_Iterable[int]] = ...) -> None: ...

class QualityGateSpec(_message.Message):
    __slots__ = ["best_of_all", "candidates", "largest_accuracy_gap"]
    BEST_OF_ALL_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    LARGEST_ACCURACY_GAP_FIELD_NUMBER: _ClassVar[int]
    best_of_all: bool
    candidates: int
    largest_accuracy_gap: float
    def __init__(self, largest_accuracy_gap: _Optional[float] = ..., candidates: _Optional[int] = ..., best_of_all: bool = ...) -> None: ...

class DatasetFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class CorruptImagePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class FewShotFeatures(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class BaselineKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
