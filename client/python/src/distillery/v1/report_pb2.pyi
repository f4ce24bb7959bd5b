from distillery.v1 import job_pb2 as _job_pb2
from distillery.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Report(_message.Message):
    __slots__ = ["choices", "few_shot", "job", "json_digest", "markdown", "markdown_digest", "models", "phases", "prior", "reference_choices", "training_ends", "verdicts", "warnings"]
    class FewShot(_message.Message):
        __slots__ = ["accuracy", "images", "model_digest", "name", "shots", "state", "task", "ways"]
        ACCURACY_FIELD_NUMBER: _ClassVar[int]
        IMAGES_FIELD_NUMBER: _ClassVar[int]
        MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        SHOTS_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        TASK_FIELD_NUMBER: _ClassVar[int]
        WAYS_FIELD_NUMBER: _ClassVar[int]
        accuracy: float
        images: int
        model_digest: str
        name: str
        shots: int
        state: str
        task: str
        ways: int
        def __init__(self, name: _Optional[str] = ..., ways: _Optional[int] = ..., shots: _Optional[int] = ..., accuracy: _Optional[float] = ..., images: _Optional[int] = ..., task: _Optional[str] = ..., state: _Optional[str] = ..., model_digest: _Optional[str] = ...) -> None: ...
    class Model(_message.Message):
        __slots__ = ["label", "metrics_digest", "model_digest", "result", "state", "task"]
        LABEL_FIELD_NUMBER: _ClassVar[int]
        METRICS_DIGEST_FIELD_NUMBER: _ClassVar[int]
        MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
        RESULT_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        TASK_FIELD_NUMBER: _ClassVar[int]
        label: str
        metrics_digest: str
        model_digest: str
        result: _task_pb2.EvaluationResult
        state: str
        task: str
        def __init__(self, label: _Optional[str] = ..., result: _Optional[_Union[_task_pb2.EvaluationResult, _Mapping]] = ..., task: _Optional[str] = ..., metrics_digest: _Optional[str] = ..., model_digest: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...
    class Phase(_message.Message):
        __slots__ = ["attempts", "attempts_lost", "cpu_seconds", "images_seen", "label", "peak_memory_bytes", "predicted_memory_bytes", "saved_cpu_seconds", "saved_wall_seconds", "tasks", "tasks_reused", "wall_seconds"]
        ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
        ATTEMPTS_LOST_FIELD_NUMBER: _ClassVar[int]
        CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
        IMAGES_SEEN_FIELD_NUMBER: _ClassVar[int]
        LABEL_FIELD_NUMBER: _ClassVar[int]
        PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
        PREDICTED_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
        SAVED_CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
        SAVED_WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
        TASKS_FIELD_NUMBER: _ClassVar[int]
        TASKS_REUSED_FIELD_NUMBER: _ClassVar[int]
        WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
        attempts: int
        attempts_lost: int
        cpu_seconds: float
        images_seen: int
        label: str
        peak_memory_bytes: int
        predicted_memory_bytes: int
        saved_cpu_seconds: float
        saved_wall_seconds: float
        tasks: int
        tasks_reused: int
        wall_seconds: float
        def __init__(self, label: _Optional[str] = ..., tasks: _Optional[int] = ..., tasks_reused: _Optional[int] = ..., images_seen: _Optional[int] = ..., wall_seconds: _Optional[float] = ..., cpu_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., attempts: _Optional[int] = ..., attempts_lost: _Optional[int] = ..., predicted_memory_bytes: _Optional[int] = ..., saved_wall_seconds: _Optional[float] = ..., saved_cpu_seconds: _Optional[float] = ...) -> None: ...
    class Prior(_message.Message):
        __slots__ = ["affinity_digest", "connectivity", "kind", "signatures_digest", "state"]
        AFFINITY_DIGEST_FIELD_NUMBER: _ClassVar[int]
        CONNECTIVITY_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        SIGNATURES_DIGEST_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        affinity_digest: str
        connectivity: _task_pb2.PriorConnectivity
        kind: str
        signatures_digest: str
        state: str
        def __init__(self, kind: _Optional[str] = ..., connectivity: _Optional[_Union[_task_pb2.PriorConnectivity, _Mapping]] = ..., signatures_digest: _Optional[str] = ..., affinity_digest: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...
    class TrainingEnd(_message.Message):
        __slots__ = ["point", "task"]
        POINT_FIELD_NUMBER: _ClassVar[int]
        TASK_FIELD_NUMBER: _ClassVar[int]
        point: Series.Point
        task: str
        def __init__(self, task: _Optional[str] = ..., point: _Optional[_Union[Series.Point, _Mapping]] = ...) -> None: ...
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    FEW_SHOT_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    JSON_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MARKDOWN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MARKDOWN_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_CHOICES_FIELD_NUMBER: _ClassVar[int]
    TRAINING_ENDS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    choices: _containers.RepeatedScalarFieldContainer[str]
    few_shot: _containers.RepeatedCompositeFieldContainer[Report.FewShot]
    job: _job_pb2.Job
    json_digest: str
    markdown: str
    markdown_digest: str
    models: _containers.RepeatedCompositeFieldContainer[Report.Model]
    phases: _containers.RepeatedCompositeFieldContainer[Report.Phase]
    prior: Report.Prior
    reference_choices: _containers.RepeatedScalarFieldContainer[str]
    training_ends: _containers.RepeatedCompositeFieldContainer[Report.TrainingEnd]
    verdicts: _containers.RepeatedCompositeFieldContainer[_task_pb2.ModuleVerdict]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., models: _Optional[_Iterable[_Union[Report.Model, _Mapping]]] = ..., phases: _Optional[_Iterable[_Union[Report.Phase, _Mapping]]] = ..., choices: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ..., markdown: _Optional[str] = ..., json_digest: _Optional[str] = ..., markdown_digest: _Optional[str] = ..., prior: _Optional[_Union[Report.Prior, _Mapping]] = ..., verdicts: _Optional[_Iterable[_Union[_task_pb2.ModuleVerdict, _Mapping]]] = ..., few_shot: _Optional[_Iterable[_Union[Report.FewShot, _Mapping]]] = ..., reference_choices: _Optional[_Iterable[str]] = ..., training_ends: _Optional[_Iterable[_Union[Report.TrainingEnd, _Mapping]]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ["points"]
    class Point(_message.Message):
        __slots__ = ["accuracy", "cross_entropy", "distillation", "images_per_second", "learning_rate", "loss", "step", "teacher_accuracy", "terms"]
        ACCURACY_FIELD_NUMBER: _ClassVar[int]
        CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
        DISTILLATION_FIELD_NUMBER: _ClassVar[int]
        IMAGES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
        LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
        LOSS_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        TEACHER_ACCURACY_FIELD_NUMBER: _ClassVar[int]
        TERMS_FIELD_NUMBER: _ClassVar[int]
        accuracy: float
        cross_entropy: float
        distillation: float
        images_per_second: float
        learning_rate: float
        loss: float
        step: int
        teacher_accuracy: float
        terms: _containers.RepeatedCompositeFieldContainer[Series.Term]
        def __init__(self, step: _Optional[int] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., images_per_second: _Optional[float] = ..., cross_entropy: _Optional[float] = ..., distillation: _Optional[float] = ..., terms: _Optional[_Iterable[_Union[Series.Term, _Mapping]]] = ..., accuracy: _Optional[float] = ..., teacher_accuracy: _Optional[float] = ...) -> None: ...
    class Term(_message.Message):
        __slots__ = ["name", "value", "weight"]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: float
        weight: float
        def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., weight: _Optional[float] = ...) -> None: ...
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[Series.Point]
    def __init__(self, points: _Optional[_Iterable[_Union[Series.Point, _Mapping]]] = ...) -> None: ...
