from distillery.v1 import job_pb2 as _job_pb2
from distillery.v1 import model_pb2 as _model_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
EVALUATION_SUBJECT_META: EvaluationSubject
EVALUATION_SUBJECT_STUDENT: EvaluationSubject
EVALUATION_SUBJECT_STUDENT_HYBRID: EvaluationSubject
EVALUATION_SUBJECT_TEACHER: EvaluationSubject
EVALUATION_SUBJECT_TEACHER_HYBRID: EvaluationSubject
EVALUATION_SUBJECT_UNSPECIFIED: EvaluationSubject
FAILURE_CLASS_INFRASTRUCTURE: FailureClass
FAILURE_CLASS_POISON: FailureClass
FAILURE_CLASS_PREEMPTED: FailureClass
FAILURE_CLASS_RESOURCE: FailureClass
FAILURE_CLASS_UNSPECIFIED: FailureClass
FAILURE_CLASS_USER: FailureClass
TASK_KIND_ASSEMBLE_STUDENT: TaskKind
TASK_KIND_ASSEMBLE_TEACHER: TaskKind
TASK_KIND_DISTILL_MODULE: TaskKind
TASK_KIND_EVALUATE: TaskKind
TASK_KIND_FEW_SHOT: TaskKind
TASK_KIND_FINETUNE_STUDENT: TaskKind
TASK_KIND_FINETUNE_TEACHER: TaskKind
TASK_KIND_FIT_PRIOR: TaskKind
TASK_KIND_INCUBATE_TEACHER: TaskKind
TASK_KIND_PRETRAIN_META: TaskKind
TASK_KIND_SELECT_MODULE: TaskKind
TASK_KIND_SPLIT_TEACHER: TaskKind
TASK_KIND_TRAIN_BASELINE: TaskKind
TASK_KIND_UNSPECIFIED: TaskKind
TASK_STATE_BLOCKED: TaskState
TASK_STATE_CANCELLED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_UNSPECIFIED: TaskState

class ArtifactRef(_message.Message):
    __slots__ = ["digest", "name", "size_bytes"]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    name: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ["bundle", "device_seconds", "failure_class", "finish_time", "gang", "gang_rank", "gang_size", "lost_seconds", "message", "number", "start_time", "state", "stats", "worker"]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    GANG_RANK_FIELD_NUMBER: _ClassVar[int]
    GANG_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    bundle: str
    device_seconds: float
    failure_class: FailureClass
    finish_time: _timestamp_pb2.Timestamp
    gang: str
    gang_rank: int
    gang_size: int
    lost_seconds: float
    message: str
    number: int
    start_time: _timestamp_pb2.Timestamp
    state: str
    stats: AttemptStats
    worker: str
    def __init__(self, number: _Optional[int] = ..., worker: _Optional[str] = ..., state: _Optional[str] = ..., failure_class: _Optional[_Union[FailureClass, str]] = ..., message: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., stats: _Optional[_Union[AttemptStats, _Mapping]] = ..., bundle: _Optional[str] = ..., device_seconds: _Optional[float] = ..., lost_seconds: _Optional[float] = ..., gang: _Optional[str] = ..., gang_rank: _Optional[int] = ..., gang_size: _Optional[int] = ...) -> None: ...

class AttemptStats(_message.Message):
    __slots__ = ["cpu_seconds", "images_seen", "parameters", "peak_memory_bytes", "resumed_from_step", "total_training_cpu_seconds", "trained_parameters", "trainer_died", "wall_seconds"]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_SEEN_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_TRAINING_CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TRAINED_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TRAINER_DIED_FIELD_NUMBER: _ClassVar[int]
    WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    cpu_seconds: float
    images_seen: int
    parameters: int
    peak_memory_bytes: int
    resumed_from_step: int
    total_training_cpu_seconds: float
    trained_parameters: int
    trainer_died: bool
    wall_seconds: float
    def __init__(self, wall_seconds: _Optional[float] = ..., cpu_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., images_seen: _Optional[int] = ..., resumed_from_step: _Optional[int] = ..., total_training_cpu_seconds: _Optional[float] = ..., parameters: _Optional[int] = ..., trained_parameters: _Optional[int] = ..., trainer_died: bool = ...) -> None: ...

class EvaluationResult(_message.Message):
    __slots__ = ["accuracy", "corruption_accuracy_mean", "corruptions", "expert_dropped", "expert_importance", "expert_load", "experts", "images", "loss", "out_of_distribution", "parameters"]
    class Corruption(_message.Message):
        __slots__ = ["accuracy", "images", "name", "severity"]
        ACCURACY_FIELD_NUMBER: _ClassVar[int]
        IMAGES_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        SEVERITY_FIELD_NUMBER: _ClassVar[int]
        accuracy: float
        images: int
        name: str
        severity: int
        def __init__(self, name: _Optional[str] = ..., severity: _Optional[int] = ..., accuracy: _Optional[float] = ..., images: _Optional[int] = ...) -> None: ...
    class OutOfDistribution(_message.Message):
        __slots__ = ["accuracy", "classes", "images", "name"]
        ACCURACY_FIELD_NUMBER: _ClassVar[int]
        CLASSES_FIELD_NUMBER: _ClassVar[int]
        IMAGES_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        accuracy: float
        classes: int
        images: int
        name: str
        def __init__(self, name: _Optional[str] = ..., accuracy: _Optional[float] = ..., images: _Optional[int] = ..., classes: _Optional[int] = ...) -> None: ...
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    CORRUPTIONS_FIELD_NUMBER: _ClassVar[int]
    CORRUPTION_ACCURACY_MEAN_FIELD_NUMBER: _ClassVar[int]
    EXPERTS_FIELD_NUMBER: _ClassVar[int]
    EXPERT_DROPPED_FIELD_NUMBER: _ClassVar[int]
    EXPERT_IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    EXPERT_LOAD_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    accuracy: float
    corruption_accuracy_mean: float
    corruptions: _containers.RepeatedCompositeFieldContainer[EvaluationResult.Corruption]
    expert_dropped: _containers.RepeatedScalarFieldContainer[float]
    expert_importance: _containers.RepeatedScalarFieldContainer[float]
    expert_load: _containers.RepeatedScalarFieldContainer[float]
    experts: int
    images: int
    loss: float
    out_of_distribution: _containers.RepeatedCompositeFieldContainer[EvaluationResult.OutOfDistribution]
    parameters: int
    def __init__(self, accuracy: _Optional[float] = ..., loss: _Optional[float] = ..., images: _Optional[int] = ..., corruptions: _Optional[_Iterable[_Union[EvaluationResult.Corruption, _Mapping]]] = ..., corruption_accuracy_mean: _Optional[float] = ..., parameters: _Optional[int] = ..., experts: _Optional[int] = ..., expert_load: _Optional[_Iterable[float]] = ..., out_of_distribution: _Optional[_Iterable[_Union[EvaluationResult.OutOfDistribution, _Mapping]]] = ..., expert_importance: _Optional[_Iterable[float]] = ..., expert_dropped: _Optional[_Iterable[float]] = ...) -> None: ...

class ModuleVerdict(_message.Message):
    __slots__ = ["accepted", "candidates", "chosen", "largest_accuracy_gap", "module_index", "teacher_accuracy"]
    class Candidate(_message.Message):
        __slots__ = ["accuracy", "handed_on"]
        ACCURACY_FIELD_NUMBER: _ClassVar[int]
        HANDED_ON_FIELD_NUMBER: _ClassVar[int]
        accuracy: float
        handed_on: bool
        def __init__(self, accuracy: _Optional[float] = ..., handed_on: bool = ...) -> None: ...
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    LARGEST_ACCURACY_GAP_FIELD_NUMBER: _ClassVar[int]
    MODULE_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEACHER_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    candidates: _containers.RepeatedCompositeFieldContainer[ModuleVerdict.Candidate]
    chosen: int
    largest_accuracy_gap: float
    module_index: int
    teacher_accuracy: float
    def __init__(self, module_index: _Optional[int] = ..., teacher_accuracy: _Optional[float] = ..., largest_accuracy_gap: _Optional[float] = ..., candidates: _Optional[_Iterable[_Union[ModuleVerdict.Candidate, _Mapping]]] = ..., chosen: _Optional[int] = ..., accepted: bool = ...) -> None: ...

class PriorConnectivity(_message.Message):
    __slots__ = ["density", "edges", "edges_kept", "edges_within_threshold", "graph_degrees", "link_degrees", "links", "nearest_non_edge", "nodes", "non_edges_below_threshold", "non_edges_within_truncation", "threshold", "truncation"]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    EDGES_KEPT_FIELD_NUMBER: _ClassVar[int]
    EDGES_WITHIN_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    GRAPH_DEGREES_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    LINK_DEGREES_FIELD_NUMBER: _ClassVar[int]
    NEAREST_NON_EDGE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NON_EDGES_BELOW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    NON_EDGES_WITHIN_TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    density: float
    edges: int
    edges_kept: float
    edges_within_threshold: float
    graph_degrees: _containers.RepeatedScalarFieldContainer[int]
    link_degrees: _containers.RepeatedScalarFieldContainer[int]
    links: float
    nearest_non_edge: float
    nodes: int
    non_edges_below_threshold: float
    non_edges_within_truncation: float
    threshold: float
    truncation: float
    def __init__(self, nodes: _Optional[int] = ..., edges: _Optional[int] = ..., density: _Optional[float] = ..., threshold: _Optional[float] = ..., truncation: _Optional[float] = ..., edges_within_threshold: _Optional[float] = ..., non_edges_below_threshold: _Optional[float] = ..., nearest_non_edge: _Optional[float] = ..., edges_kept: _Optional[float] = ..., non_edges_within_truncation: _Optional[float] = ..., links: _Optional[float] = ..., graph_degrees: _Optional[_Iterable[int]] = ..., link_degrees: _Optional[_Iterable[int]] = ...) -> None: ...

class ProducedInput(_message.Message):
    __slots__ = ["output", "task"]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    output: str
    task: str
    def __init__(self, task: _Optional[str] = ..., output: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ["data_wait_ratio", "eta_seconds", "images_per_second", "images_seen", "loss", "phase", "step", "total_steps"]
    DATA_WAIT_RATIO_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    IMAGES_SEEN_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    data_wait_ratio: float
    eta_seconds: float
    images_per_second: float
    images_seen: int
    loss: float
    phase: str
    step: int
    total_steps: int
    def __init__(self, step: _Optional[int] = ..., total_steps: _Optional[int] = ..., loss: _Optional[float] = ..., images_per_second: _Optional[float] = ..., images_seen: _Optional[int] = ..., phase: _Optional[str] = ..., data_wait_ratio: _Optional[float] = ..., eta_seconds: _Optional[float] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ["attempts", "checkpoint_step", "depends_on", "device_seconds", "failure_message", "finish_time", "id", "job", "key", "name", "observations", "progress", "results", "reused_from", "revision", "spec", "start_time", "state", "waiting_reason"]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_STEP_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    DEVICE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REUSED_FROM_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAITING_REASON_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    checkpoint_step: int
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    device_seconds: float
    failure_message: str
    finish_time: _timestamp_pb2.Timestamp
    id: str
    job: str
    key: str
    name: str
    observations: _containers.RepeatedCompositeFieldContainer[ArtifactRef]
    progress: Progress
    results: _containers.RepeatedCompositeFieldContainer[ArtifactRef]
    reused_from: str
    revision: int
    spec: TaskSpec
    start_time: _timestamp_pb2.Timestamp
    state: TaskState
    waiting_reason: str
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., job: _Optional[str] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., state: _Optional[_Union[TaskState, str]] = ..., key: _Optional[str] = ..., depends_on: _Optional[_Iterable[str]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[ArtifactRef, _Mapping]]] = ..., observations: _Optional[_Iterable[_Union[ArtifactRef, _Mapping]]] = ..., reused_from: _Optional[str] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., failure_message: _Optional[str] = ..., waiting_reason: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., checkpoint_step: _Optional[int] = ..., device_seconds: _Optional[float] = ...) -> None: ...

class TaskInput(_message.Message):
    __slots__ = ["given_digest", "name", "produced"]
    GIVEN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRODUCED_FIELD_NUMBER: _ClassVar[int]
    given_digest: str
    name: str
    produced: ProducedInput
    def __init__(self, name: _Optional[str] = ..., produced: _Optional[_Union[ProducedInput, _Mapping]] = ..., given_digest: _Optional[str] = ...) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ["baseline", "checkpoint_interval_seconds", "dataset", "distillation", "evaluation", "few_shot", "inputs", "kind", "meta", "module_index", "modules", "numeric_class", "outputs", "patch_size", "quality_gate", "recipe", "seed", "semantics_version", "student", "subject", "teacher"]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DISTILLATION_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    FEW_SHOT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    MODULE_INDEX_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_CLASS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_GATE_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SEMANTICS_VERSION_FIELD_NUMBER: _ClassVar[int]
    STUDENT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TEACHER_FIELD_NUMBER: _ClassVar[int]
    baseline: _job_pb2.BaselineKind
    checkpoint_interval_seconds: float
    dataset: _job_pb2.DatasetSpec
    distillation: _model_pb2.DistillationSpec
    evaluation: _job_pb2.EvaluationSpec
    few_shot: _job_pb2.FewShotSpec
    inputs: _containers.RepeatedCompositeFieldContainer[TaskInput]
    kind: TaskKind
    meta: _model_pb2.VitSpec
    module_index: int
    modules: int
    numeric_class: str
    outputs: _containers.RepeatedScalarFieldContainer[str]
    patch_size: int
    quality_gate: _job_pb2.QualityGateSpec
    recipe: _model_pb2.TrainingRecipe
    seed: int
    semantics_version: int
    student: _model_pb2.StudentSpec
    subject: EvaluationSubject
    teacher: _model_pb2.VitSpec
    def __init__(self, kind: _Optional[_Union[TaskKind, str]] = ..., module_index: _Optional[int] = ..., modules: _Optional[int] = ..., patch_size: _Optional[int] = ..., seed: _Optional[int] = ..., dataset: _Optional[_Union[_job_pb2.DatasetSpec, _Mapping]] = ..., meta: _Optional[_Union[_model_pb2.VitSpec, _Mapping]] = ..., teacher: _Optional[_Union[_model_pb2.VitSpec, _Mapping]] = ..., student: _Optional[_Union[_model_pb2.StudentSpec, _Mapping]] = ..., recipe: _Optional[_Union[_model_pb2.TrainingRecipe, _Mapping]] = ..., distillation: _Optional[_Union[_model_pb2.DistillationSpec, _Mapping]] = ..., evaluation: _Optional[_Union[_job_pb2.EvaluationSpec, _Mapping]] = ..., subject: _Optional[_Union[EvaluationSubject, str]] = ..., baseline: _Optional[_Union[_job_pb2.BaselineKind, str]] = ..., numeric_class: _Optional[str] = ..., semantics_version: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[TaskInput, _Mapping]]] = ..., outputs: _Optional[_Iterable[str]] = ..., checkpoint_interval_seconds: _Optional[float] = ..., few_shot: _Optional[_Union[_job_pb2.FewShotSpec, _Mapping]] = ..., quality_gate: _Optional[_Union[_job_pb2.QualityGateSpec, _Mapping]] = ...) -> None: ...

class TaskKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class EvaluationSubject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class FailureClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
