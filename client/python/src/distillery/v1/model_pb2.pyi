from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
EXPERT_INIT_PER_MATRIX: ExpertInit
EXPERT_INIT_REFERENCE: ExpertInit
EXPERT_INIT_UNSPECIFIED: ExpertInit
GRAPH_PRIOR_KIND_COMPLETE: GraphPriorKind
GRAPH_PRIOR_KIND_ERDOS_RENYI: GraphPriorKind
GRAPH_PRIOR_KIND_PLANTED_PARTITION: GraphPriorKind
GRAPH_PRIOR_KIND_RING_OF_CLIQUES: GraphPriorKind
GRAPH_PRIOR_KIND_SCALE_FREE: GraphPriorKind
GRAPH_PRIOR_KIND_UNSPECIFIED: GraphPriorKind
GRAPH_PRIOR_KIND_WATTS_STROGATZ: GraphPriorKind
KD_DIVISOR_BATCH_MEAN: KdDivisor
KD_DIVISOR_NUMEL: KdDivisor
KD_DIVISOR_UNSPECIFIED: KdDivisor
KD_KIND_HARD: KdKind
KD_KIND_SOFT: KdKind
KD_KIND_UNSPECIFIED: KdKind
NAC_CODES_CONSTANT: NacCodes
NAC_CODES_LEARNED: NacCodes
NAC_CODES_TRANSFERRED: NacCodes
NAC_CODES_UNSPECIFIED: NacCodes
NAC_SHARED_LAYER_FIRST: NacSharedLayer
NAC_SHARED_LAYER_MEAN: NacSharedLayer
NAC_SHARED_LAYER_UNSPECIFIED: NacSharedLayer
NAC_TRANSFER_EVERYTHING: NacTransfer
NAC_TRANSFER_UNSPECIFIED: NacTransfer
NAC_TRANSFER_WITHOUT_GRID_AND_CLASSIFIER: NacTransfer
OPTIMIZER_KIND_ADAMW: OptimizerKind
OPTIMIZER_KIND_SGD: OptimizerKind
OPTIMIZER_KIND_UNSPECIFIED: OptimizerKind
PRECISION_BFLOAT16: Precision
PRECISION_FLOAT16: Precision
PRECISION_FLOAT32: Precision
PRECISION_UNSPECIFIED: Precision
ROUTER_KIND_EXPERT_CHOICE: RouterKind
ROUTER_KIND_GSHARD: RouterKind
ROUTER_KIND_NOISY_TOP_K: RouterKind
ROUTER_KIND_SWITCH: RouterKind
ROUTER_KIND_TOP_K: RouterKind
ROUTER_KIND_UNSPECIFIED: RouterKind
ROUTER_KIND_VMOE: RouterKind
SAMPLER_KIND_COUNTER: SamplerKind
SAMPLER_KIND_REFERENCE: SamplerKind
SAMPLER_KIND_UNSPECIFIED: SamplerKind
SCHEDULE_UNIT_EPOCH: ScheduleUnit
SCHEDULE_UNIT_EPOCH_NAC: ScheduleUnit
SCHEDULE_UNIT_STEP: ScheduleUnit
SCHEDULE_UNIT_UNSPECIFIED: ScheduleUnit
SIGNATURE_REGULARISER_KIND_GRAPHON: SignatureRegulariserKind
SIGNATURE_REGULARISER_KIND_HINGE_REPULSION: SignatureRegulariserKind
SIGNATURE_REGULARISER_KIND_NONE: SignatureRegulariserKind
SIGNATURE_REGULARISER_KIND_UNSPECIFIED: SignatureRegulariserKind
WEIGHT_SCHEDULE_CONSTANT: WeightSchedule
WEIGHT_SCHEDULE_COSINE: WeightSchedule
WEIGHT_SCHEDULE_LINEAR: WeightSchedule
WEIGHT_SCHEDULE_UNSPECIFIED: WeightSchedule

class DistillationSpec(_message.Message):
    __slots__ = ["alpha", "divisor", "kind", "tau"]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DIVISOR_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TAU_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    divisor: KdDivisor
    kind: KdKind
    tau: float
    def __init__(self, kind: _Optional[_Union[KdKind, str]] = ..., alpha: _Optional[float] = ..., tau: _Optional[float] = ..., divisor: _Optional[_Union[KdDivisor, str]] = ...) -> None: ...

class GraphPriorSpec(_message.Message):
    __slots__ = ["attachments", "communities", "fit_learning_rate", "fit_steps", "fit_threshold", "kind", "neighbours", "p", "p_in", "p_out", "seed"]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    COMMUNITIES_FIELD_NUMBER: _ClassVar[int]
    FIT_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    FIT_STEPS_FIELD_NUMBER: _ClassVar[int]
    FIT_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    P_IN_FIELD_NUMBER: _ClassVar[int]
    P_OUT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    attachments: int
    communities: int
    fit_learning_rate: float
    fit_steps: int
    fit_threshold: float
    kind: GraphPriorKind
    neighbours: int
    p: float
    p_in: float
    p_out: float
    seed: int
    def __init__(self, kind: _Optional[_Union[GraphPriorKind, str]] = ..., attachments: _Optional[int] = ..., communities: _Optional[int] = ..., p_in: _Optional[float] = ..., p_out: _Optional[float] = ..., p: _Optional[float] = ..., neighbours: _Optional[int] = ..., fit_steps: _Optional[int] = ..., fit_learning_rate: _Optional[float] = ..., fit_threshold: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

class NacSpec(_message.Message):
    __slots__ = ["code_dim", "code_noise", "codes", "ffn_capacity_factor", "grid_channels", "head_dim", "heads", "input_latents", "keep_stitches", "layer_scale", "mediator_latents", "output_latents", "prior", "reference_bandwidth", "reference_link_sampling", "reference_read_in_scale", "regulariser", "share_layers", "shared_layer", "signature_dim", "state_dim", "stochastic_evaluation", "tokenizer_depths", "tokenizer_stem", "transfer", "truncation"]
    CODES_FIELD_NUMBER: _ClassVar[int]
    CODE_DIM_FIELD_NUMBER: _ClassVar[int]
    CODE_NOISE_FIELD_NUMBER: _ClassVar[int]
    FFN_CAPACITY_FACTOR_FIELD_NUMBER: _ClassVar[int]
    GRID_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    HEAD_DIM_FIELD_NUMBER: _ClassVar[int]
    INPUT_LATENTS_FIELD_NUMBER: _ClassVar[int]
    KEEP_STITCHES_FIELD_NUMBER: _ClassVar[int]
    LAYER_SCALE_FIELD_NUMBER: _ClassVar[int]
    MEDIATOR_LATENTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LATENTS_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_LINK_SAMPLING_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_READ_IN_SCALE_FIELD_NUMBER: _ClassVar[int]
    REGULARISER_FIELD_NUMBER: _ClassVar[int]
    SHARED_LAYER_FIELD_NUMBER: _ClassVar[int]
    SHARE_LAYERS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_DIM_FIELD_NUMBER: _ClassVar[int]
    STATE_DIM_FIELD_NUMBER: _ClassVar[int]
    STOCHASTIC_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_DEPTHS_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_STEM_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    code_dim: int
    code_noise: float
    codes: NacCodes
    ffn_capacity_factor: float
    grid_channels: int
    head_dim: int
    heads: int
    input_latents: int
    keep_stitches: bool
    layer_scale: float
    mediator_latents: int
    output_latents: int
    prior: GraphPriorSpec
    reference_bandwidth: bool
    reference_link_sampling: bool
    reference_read_in_scale: bool
    regulariser: SignatureRegulariserSpec
    share_layers: bool
    shared_layer: NacSharedLayer
    signature_dim: int
    state_dim: int
    stochastic_evaluation: bool
    tokenizer_depths: _containers.RepeatedScalarFieldContainer[int]
    tokenizer_stem: int
    transfer: NacTransfer
    truncation: float
    def __init__(self, state_dim: _Optional[int] = ..., code_dim: _Optional[int] = ..., signature_dim: _Optional[int] = ..., input_latents: _Optional[int] = ..., mediator_latents: _Optional[int] = ..., output_latents: _Optional[int] = ..., heads: _Optional[int] = ..., head_dim: _Optional[int] = ..., ffn_capacity_factor: _Optional[float] = ..., tokenizer_depths: _Optional[_Iterable[int]] = ..., tokenizer_stem: _Optional[int] = ..., grid_channels: _Optional[int] = ..., layer_scale: _Optional[float] = ..., code_noise: _Optional[float] = ..., truncation: _Optional[float] = ..., reference_link_sampling: bool = ..., reference_bandwidth: bool = ..., stochastic_evaluation: bool = ..., share_layers: bool = ..., codes: _Optional[_Union[NacCodes, str]] = ..., keep_stitches: bool = ..., prior: _Optional[_Union[GraphPriorSpec, _Mapping]] = ..., regulariser: _Optional[_Union[SignatureRegulariserSpec, _Mapping]] = ..., transfer: _Optional[_Union[NacTransfer, str]] = ..., shared_layer: _Optional[_Union[NacSharedLayer, str]] = ..., reference_read_in_scale: bool = ...) -> None: ...

class RouterSpec(_message.Message):
    __slots__ = ["balance_weight", "batch_priority", "capacity_factor", "evaluation_capacity_factor", "group_images", "importance_weight", "kind", "load_weight", "noise"]
    BALANCE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BATCH_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FACTOR_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_CAPACITY_FACTOR_FIELD_NUMBER: _ClassVar[int]
    GROUP_IMAGES_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOAD_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    balance_weight: float
    batch_priority: bool
    capacity_factor: float
    evaluation_capacity_factor: float
    group_images: int
    importance_weight: float
    kind: RouterKind
    load_weight: float
    noise: float
    def __init__(self, kind: _Optional[_Union[RouterKind, str]] = ..., capacity_factor: _Optional[float] = ..., evaluation_capacity_factor: _Optional[float] = ..., noise: _Optional[float] = ..., balance_weight: _Optional[float] = ..., importance_weight: _Optional[float] = ..., load_weight: _Optional[float] = ..., batch_priority: bool = ..., group_images: _Optional[int] = ...) -> None: ...

class SignatureRegulariserSpec(_message.Message):
    __slots__ = ["bernoulli", "clip", "final_weight", "hinge", "kind", "match_every", "match_rows_only", "schedule", "weight"]
    BERNOULLI_FIELD_NUMBER: _ClassVar[int]
    CLIP_FIELD_NUMBER: _ClassVar[int]
    FINAL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    HINGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MATCH_EVERY_FIELD_NUMBER: _ClassVar[int]
    MATCH_ROWS_ONLY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    bernoulli: bool
    clip: float
    final_weight: float
    hinge: float
    kind: SignatureRegulariserKind
    match_every: int
    match_rows_only: bool
    schedule: WeightSchedule
    weight: float
    def __init__(self, kind: _Optional[_Union[SignatureRegulariserKind, str]] = ..., weight: _Optional[float] = ..., hinge: _Optional[float] = ..., bernoulli: bool = ..., clip: _Optional[float] = ..., match_rows_only: bool = ..., match_every: _Optional[int] = ..., schedule: _Optional[_Union[WeightSchedule, str]] = ..., final_weight: _Optional[float] = ...) -> None: ...

class StudentSpec(_message.Message):
    __slots__ = ["nac", "vit", "vmoe"]
    NAC_FIELD_NUMBER: _ClassVar[int]
    VIT_FIELD_NUMBER: _ClassVar[int]
    VMOE_FIELD_NUMBER: _ClassVar[int]
    nac: NacSpec
    vit: VitSpec
    vmoe: VmoeSpec
    def __init__(self, vmoe: _Optional[_Union[VmoeSpec, _Mapping]] = ..., vit: _Optional[_Union[VitSpec, _Mapping]] = ..., nac: _Optional[_Union[NacSpec, _Mapping]] = ...) -> None: ...

class TrainingRecipe(_message.Message):
    __slots__ = ["accumulate_steps", "batch_size", "beta1", "beta2", "clip_grad_norm", "color_jitter", "crop_padding", "cutmix_alpha", "cutmix_switch_probability", "decay_all_parameters", "drop_path", "ema_decay", "epochs", "epsilon", "gang_size", "horizontal_flip", "label_smoothing", "learning_rate", "learning_rate_reference_batch", "min_learning_rate", "mix_probability", "mixup_alpha", "momentum", "optimizer", "precision", "rand_augment_magnitude", "rand_augment_magnitude_std", "rand_augment_operations", "random_erasing", "random_resized_crop", "repeated_augmentation", "sampler", "schedule_unit", "total_images", "warmup_epochs", "warmup_learning_rate", "weight_decay"]
    ACCUMULATE_STEPS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    BETA1_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    CLIP_GRAD_NORM_FIELD_NUMBER: _ClassVar[int]
    COLOR_JITTER_FIELD_NUMBER: _ClassVar[int]
    CROP_PADDING_FIELD_NUMBER: _ClassVar[int]
    CUTMIX_ALPHA_FIELD_NUMBER: _ClassVar[int]
    CUTMIX_SWITCH_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    DECAY_ALL_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DROP_PATH_FIELD_NUMBER: _ClassVar[int]
    EMA_DECAY_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    GANG_SIZE_FIELD_NUMBER: _ClassVar[int]
    HORIZONTAL_FLIP_FIELD_NUMBER: _ClassVar[int]
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_REFERENCE_BATCH_FIELD_NUMBER: _ClassVar[int]
    MIN_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MIXUP_ALPHA_FIELD_NUMBER: _ClassVar[int]
    MIX_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RANDOM_ERASING_FIELD_NUMBER: _ClassVar[int]
    RANDOM_RESIZED_CROP_FIELD_NUMBER: _ClassVar[int]
    RAND_AUGMENT_MAGNITUDE_FIELD_NUMBER: _ClassVar[int]
    RAND_AUGMENT_MAGNITUDE_STD_FIELD_NUMBER: _ClassVar[int]
    RAND_AUGMENT_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    SAMPLER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_UNIT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_IMAGES_FIELD_NUMBER: _ClassVar[int]
    WARMUP_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    accumulate_steps: int
    batch_size: int
    beta1: float
    beta2: float
    clip_grad_norm: float
    color_jitter: float
    crop_padding: int
    cutmix_alpha: float
    cutmix_switch_probability: float
    decay_all_parameters: bool
    drop_path: float
    ema_decay: float
    epochs: float
    epsilon: float
    gang_size: int
    horizontal_flip: float
    label_smoothing: float
    learning_rate: float
    learning_rate_reference_batch: int
    min_learning_rate: float
    mix_probability: float
    mixup_alpha: float
    momentum: float
    optimizer: OptimizerKind
    precision: Precision
    rand_augment_magnitude: float
    rand_augment_magnitude_std: float
    rand_augment_operations: int
    random_erasing: float
    random_resized_crop: float
    repeated_augmentation: int
    sampler: SamplerKind
    schedule_unit: ScheduleUnit
    total_images: int
    warmup_epochs: float
    warmup_learning_rate: float
    weight_decay: float
    def __init__(self, epochs: _Optional[float] = ..., batch_size: _Optional[int] = ..., accumulate_steps: _Optional[int] = ..., learning_rate: _Optional[float] = ..., learning_rate_reference_batch: _Optional[int] = ..., warmup_learning_rate: _Optional[float] = ..., min_learning_rate: _Optional[float] = ..., warmup_epochs: _Optional[float] = ..., schedule_unit: _Optional[_Union[ScheduleUnit, str]] = ..., weight_decay: _Optional[float] = ..., beta1: _Optional[float] = ..., beta2: _Optional[float] = ..., epsilon: _Optional[float] = ..., clip_grad_norm: _Optional[float] = ..., drop_path: _Optional[float] = ..., label_smoothing: _Optional[float] = ..., mixup_alpha: _Optional[float] = ..., cutmix_alpha: _Optional[float] = ..., mix_probability: _Optional[float] = ..., cutmix_switch_probability: _Optional[float] = ..., crop_padding: _Optional[int] = ..., horizontal_flip: _Optional[float] = ..., random_erasing: _Optional[float] = ..., sampler: _Optional[_Union[SamplerKind, str]] = ..., total_images: _Optional[int] = ..., optimizer: _Optional[_Union[OptimizerKind, str]] = ..., momentum: _Optional[float] = ..., decay_all_parameters: bool = ..., precision: _Optional[_Union[Precision, str]] = ..., ema_decay: _Optional[float] = ..., repeated_augmentation: _Optional[int] = ..., random_resized_crop: _Optional[float] = ..., rand_augment_operations: _Optional[int] = ..., rand_augment_magnitude: _Optional[float] = ..., rand_augment_magnitude_std: _Optional[float] = ..., color_jitter: _Optional[float] = ..., gang_size: _Optional[int] = ...) -> None: ...

class VitSpec(_message.Message):
    __slots__ = ["depth", "embed_dim", "heads", "layer_norm_epsilon", "mlp_ratio", "preset", "qkv_bias", "stage_depths"]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    EMBED_DIM_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    LAYER_NORM_EPSILON_FIELD_NUMBER: _ClassVar[int]
    MLP_RATIO_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    QKV_BIAS_FIELD_NUMBER: _ClassVar[int]
    STAGE_DEPTHS_FIELD_NUMBER: _ClassVar[int]
    depth: int
    embed_dim: int
    heads: int
    layer_norm_epsilon: float
    mlp_ratio: float
    preset: str
    qkv_bias: bool
    stage_depths: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, embed_dim: _Optional[int] = ..., heads: _Optional[int] = ..., mlp_ratio: _Optional[float] = ..., qkv_bias: bool = ..., layer_norm_epsilon: _Optional[float] = ..., depth: _Optional[int] = ..., stage_depths: _Optional[_Iterable[int]] = ..., preset: _Optional[str] = ...) -> None: ...

class VmoeSpec(_message.Message):
    __slots__ = ["backbone", "expert_init", "experts", "keep_stitches", "moe_blocks", "moe_placement", "router", "top_k"]
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    EXPERTS_FIELD_NUMBER: _ClassVar[int]
    EXPERT_INIT_FIELD_NUMBER: _ClassVar[int]
    KEEP_STITCHES_FIELD_NUMBER: _ClassVar[int]
    MOE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MOE_PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    backbone: VitSpec
    expert_init: ExpertInit
    experts: int
    keep_stitches: bool
    moe_blocks: _containers.RepeatedScalarFieldContainer[int]
    moe_placement: str
    router: RouterSpec
    top_k: int
    def __init__(self, backbone: _Optional[_Union[VitSpec, _Mapping]] = ..., experts: _Optional[int] = ..., top_k: _Optional[int] = ..., moe_blocks: _Optional[_Iterable[int]] = ..., expert_init: _Optional[_Union[ExpertInit, str]] = ..., keep_stitches: bool = ..., router: _Optional[_Union[RouterSpec, _Mapping]] = ..., moe_placement: _Optional[str] = ...) -> None: ...

class ExpertInit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class RouterKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class GraphPriorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class SignatureRegulariserKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class WeightSchedule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class NacCodes(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class NacTransfer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class NacSharedLayer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class ScheduleUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class SamplerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class OptimizerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Precision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class KdDivisor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class KdKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
