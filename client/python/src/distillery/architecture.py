"""What network a weight file is of: descriptions (ArchitectureDescription) from architecture files and from tasks.

The same rules as the server's own tools have, which docs/weights.md gives.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from google.protobuf import json_format

from distillery.errors import WeightsError
from distillery.v1 import architecture_pb2, model_pb2, task_pb2

FORMAT = "distillery-architecture-1"

# embed_dim, heads, qkv_bias, layer_norm_epsilon of the published shapes.
_PRESETS: Dict[str, Tuple[int, int, bool, float]] = {
    "deit_tiny_patch16_224": (192, 3, True, 1e-6), "deit_small_patch16_224": (384, 6, True, 1e-6),
    "deit_base_patch16_224": (768, 12, True, 1e-6), "vit_base_patch16_224": (768, 12, True, 1e-6),
    "vit_large_patch16_224": (1024, 16, True, 1e-6), "vit_huge_patch14_224": (1280, 16, False, 1e-5)}
_NAC_DEFAULTS = {"state_dim": 64, "signature_dim": 64, "input_latents": 16, "mediator_latents": 64, "output_latents": 16,
                 "heads": 4, "head_dim": 16, "tokenizer_stem": 4, "grid_channels": 64, "ffn_capacity_factor": 2.0,
                 "truncation": 0.9}
_WHOLE_STUDENT = (task_pb2.TASK_KIND_ASSEMBLE_STUDENT, task_pb2.TASK_KIND_FINETUNE_STUDENT,
                  task_pb2.TASK_KIND_TRAIN_BASELINE, task_pb2.TASK_KIND_FEW_SHOT)


def parse_architecture(text: str) -> architecture_pb2.ArchitectureDescription:
    """Reads an architecture file's JSON and fills in every default. Raises WeightsError."""
    found = architecture_pb2.ArchitectureDescription()
    try:
        json_format.Parse(text, found)
    except json_format.ParseError as error:
        raise WeightsError(f"cannot read architecture: {error}") from error
    if found.format != FORMAT:
        raise WeightsError(f'cannot read architecture: format must be "{FORMAT}"; got={found.format}')
    return resolve(found)


def format_architecture(made: architecture_pb2.ArchitectureDescription) -> str:
    """Returns the JSON, on one line, that parse_architecture() reads back to the same message."""
    return str(json_format.MessageToJson(made, preserving_proto_field_name=True, indent=None))


def architecture_of_output(spec: task_pb2.TaskSpec, output: str) -> Optional[architecture_pb2.ArchitectureDescription]:
    """Describes output `output` ("model", "module", "stage.2") of a task; None when that output is no network."""
    data = spec.dataset
    made = architecture_pb2.ArchitectureDescription(
        format=FORMAT, image_size=data.input_size or data.image_size, channels=data.channels, patch_size=spec.patch_size,
        classes=data.classes, modules=spec.modules)
    kinds = task_pb2
    vits = {kinds.TASK_KIND_PRETRAIN_META: (spec.meta, "model"), kinds.TASK_KIND_INCUBATE_TEACHER: (spec.teacher, "stage"),
            kinds.TASK_KIND_ASSEMBLE_TEACHER: (spec.teacher, "model"),
            kinds.TASK_KIND_FINETUNE_TEACHER: (spec.teacher, "model")}
    stage = re.fullmatch(r"stage\.([0-9]+)", output)
    if spec.kind in vits and output == vits[spec.kind][1]:
        made.vit.CopyFrom(vits[spec.kind][0])
        if spec.kind == kinds.TASK_KIND_INCUBATE_TEACHER:
            made.module_index = spec.module_index
    elif spec.kind == kinds.TASK_KIND_SPLIT_TEACHER and stage:
        made.vit.CopyFrom(spec.teacher)
        made.module_index = int(stage.group(1))
    elif spec.kind in (kinds.TASK_KIND_DISTILL_MODULE, kinds.TASK_KIND_SELECT_MODULE) and output == "module":
        _set_student(spec.student, made)
        made.module_index = spec.module_index
        if not spec.student.HasField("vit"):
            made.stitch_width = spec.meta.embed_dim
    elif spec.kind in _WHOLE_STUDENT and output == "model":
        _set_student(spec.student, made)
        if spec.student.vmoe.keep_stitches or spec.student.nac.keep_stitches:
            made.stitch_width = spec.meta.embed_dim
    else:
        return None
    if made.WhichOneof("network") is None:  # One that only chose among modules does not know what they are.
        return None
    return resolve(made)


def _set_student(student: model_pb2.StudentSpec, made: architecture_pb2.ArchitectureDescription) -> None:
    for name in ("vit", "vmoe", "nac"):
        if student.HasField(name):
            getattr(made, name).CopyFrom(getattr(student, name))


def resolve(made: architecture_pb2.ArchitectureDescription) -> architecture_pb2.ArchitectureDescription:
    """Fills in defaults, in place. Raises WeightsError for what cannot be built."""
    network = made.WhichOneof("network")
    if network == "nac":
        _resolve_nac(made.nac)
        if made.modules < 3:
            raise WeightsError(f"cannot build network: modules: a NAC has at least 3; got={made.modules}")
    elif network is None:
        raise WeightsError("cannot build network: give one of vit, vmoe, nac")
    else:
        vit = backbone(made)
        _resolve_vit(vit, made.modules)
        if made.modules not in (0, len(vit.stage_depths)):
            raise WeightsError(f"cannot build network: modules must be the number of stage_depths; got={made.modules} "
                               f"stage_depths={len(vit.stage_depths)}")
        made.modules = len(vit.stage_depths)
        if made.patch_size < 1 or made.image_size < 1 or made.image_size % made.patch_size != 0:
            raise WeightsError(f"cannot build network: patch_size must divide image_size; got={made.patch_size} "
                               f"image_size={made.image_size}")
        if network == "vmoe":
            _resolve_vmoe(made.vmoe)
    if made.HasField("module_index") and not 0 <= made.module_index < made.modules:
        raise WeightsError(f"cannot build network: module_index must be 0 to {made.modules - 1}; got={made.module_index}")
    return made


def _resolve_vit(vit: model_pb2.VitSpec, modules: int) -> None:
    if vit.preset:
        if vit.preset not in _PRESETS:
            raise WeightsError(f"cannot build network: preset is unknown; got={vit.preset}")
        for name, value in zip(("embed_dim", "heads", "qkv_bias", "layer_norm_epsilon"), _PRESETS[vit.preset]):
            if not vit.HasField(name):
                setattr(vit, name, value)
        vit.ClearField("preset")
    defaults: Dict[str, object] = {"mlp_ratio": 4.0, "qkv_bias": True, "layer_norm_epsilon": 1e-6}
    for name, default in defaults.items():
        if not vit.HasField(name):
            setattr(vit, name, default)
    if not vit.stage_depths and modules > 0 and vit.depth % modules == 0:
        vit.stage_depths.extend([vit.depth // modules] * modules)
    if not vit.stage_depths or min(vit.stage_depths) < 1:
        raise WeightsError("cannot build network: stage_depths are missing")
    vit.depth = sum(vit.stage_depths)
    if vit.heads < 1 or vit.embed_dim < 1 or vit.embed_dim % vit.heads != 0:
        raise WeightsError(f"cannot build network: heads must divide embed_dim; got={vit.heads} embed_dim={vit.embed_dim}")


def _resolve_vmoe(vmoe: model_pb2.VmoeSpec) -> None:
    if vmoe.experts < 1:
        raise WeightsError(f"cannot build network: experts must be at least 1; got={vmoe.experts}")
    if not vmoe.HasField("top_k"):
        vmoe.top_k = min(2, vmoe.experts)
    depth, placement = vmoe.backbone.depth, vmoe.moe_placement or "all"
    vmoe.ClearField("moe_placement")
    if vmoe.moe_blocks:
        return
    last = re.fullmatch(r"last_([0-9]+)", placement)
    odd = list(range(1, depth, 2))
    if placement == "all":
        vmoe.moe_blocks.extend(range(depth))
    elif placement == "every_2":
        vmoe.moe_blocks.extend(odd)
    elif last and 1 <= int(last.group(1)) <= len(odd):
        vmoe.moe_blocks.extend(odd[-int(last.group(1)):])
    else:
        raise WeightsError(f"cannot build network: moe_placement must be all, every_2 or last_N; got={placement}")


def _resolve_nac(nac: model_pb2.NacSpec) -> None:
    for name, default in _NAC_DEFAULTS.items():
        if not nac.HasField(name):
            setattr(nac, name, default)
    if not nac.HasField("code_dim"):
        nac.code_dim = nac.state_dim
    if not nac.tokenizer_depths:
        nac.tokenizer_depths.extend([1, 1])


def backbone(made: architecture_pb2.ArchitectureDescription) -> model_pb2.VitSpec:
    """Widths, heads and depths of a ViT or V-MoE."""
    return made.vit if made.HasField("vit") else made.vmoe.backbone


def first_blocks(made: architecture_pb2.ArchitectureDescription) -> List[int]:
    """Position of each module's first block, counted over the whole network."""
    depths = list(backbone(made).stage_depths)
    return [sum(depths[:i]) for i in range(len(depths))]
