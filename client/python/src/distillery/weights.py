"""Weights of a network that a job made: their tensors, what network they are of, and the same as PyTorch modules.

    weights = client.result(job, "student")
    tensors = weights.state_dict("flat")      # numpy arrays; names as timm has them
    network = weights.module().eval()         # torch.nn.Module: ViT, V-MoE, NAC, or one module of them
    peer = weights.timm()                     # timm's VisionTransformer, of a ViT
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Dict

from distillery import architecture as architectures
from distillery import safetensors
from distillery.connection import PathLike
from distillery.errors import WeightsError
from distillery.v1 import architecture_pb2

if TYPE_CHECKING:
    import torch

_STAGED = re.compile(r"stages\.(\d+)\.(?:blocks\.(\d+)\.)?(.+)")


@dataclasses.dataclass(frozen=True)
class Weights:
    """tensors       numpy arrays by the names that docs/weights.md gives
    architecture  what network they are of; its `module_index` is set when they are one module of it
    digest        of the file, "sha256:hex"; "" when it was not downloaded
    metadata      of the file
    """

    tensors: safetensors.Tensors
    architecture: architecture_pb2.ArchitectureDescription
    digest: str = ""
    metadata: Dict[str, str] = dataclasses.field(default_factory=dict)

    def state_dict(self, names: str = "staged") -> safetensors.Tensors:
        """Returns the tensors by name: "staged" (ours), "flat" (timm's: blocks counted over the whole network) or
        "reference" (each tensor under both). A module and a NAC have one set of names only."""
        if names not in ("staged", "flat", "reference"):
            raise ValueError(f"names must be staged, flat or reference; got={names}")
        if names == "staged" or not self._is_whole_staged():
            return dict(self.tensors)
        flat = {self._flat_name(name): tensor for name, tensor in self.tensors.items()}
        return flat if names == "flat" else {**self.tensors, **flat}

    def torch_state_dict(self, names: str = "staged") -> Dict[str, torch.Tensor]:
        """The same as PyTorch tensors, which share no memory with these."""
        torch = _torch()
        return {name: torch.from_numpy(tensor.copy()) for name, tensor in self.state_dict(names).items()}

    def module(self) -> torch.nn.Module:
        """Builds the network in PyTorch and loads the weights, strictly. It computes what the trainer computes in
        evaluation; see distillery.networks for what it leaves out of training."""
        _torch()
        from distillery import networks  # pylint: disable=import-outside-toplevel
        network = networks.build(self.architecture)
        _load(network, self.torch_state_dict("staged"))
        return network

    def timm(self) -> torch.nn.Module:
        """Builds timm's VisionTransformer of the same shape and loads the weights, strictly. Only of a whole ViT."""
        if not self.architecture.HasField("vit") or not self._is_whole_staged():
            raise WeightsError("cannot make timm's network: only a whole ViT has one; module() builds all others")
        from timm.models.vision_transformer import VisionTransformer  # pylint: disable=import-outside-toplevel
        pytorch = _torch()
        vit, made = self.architecture.vit, self.architecture
        epsilon = vit.layer_norm_epsilon
        network: torch.nn.Module = VisionTransformer(
            img_size=made.image_size, patch_size=made.patch_size, in_chans=made.channels, num_classes=made.classes,
            embed_dim=vit.embed_dim, depth=vit.depth, num_heads=vit.heads, mlp_ratio=vit.mlp_ratio,
            qkv_bias=vit.qkv_bias, norm_layer=lambda width: pytorch.nn.LayerNorm(width, eps=epsilon))
        _load(network, self.torch_state_dict("flat"))
        return network

    def save(self, path: PathLike) -> None:
        """Writes a safetensors file that `distill artifact import` and `Weights.load` know the network of."""
        described = architectures.format_architecture(self.architecture)
        metadata = {**self.metadata, "format": "distillery-weights-1", "architecture": described}
        with open(path, "wb") as file:
            file.write(safetensors.dump(self.tensors, metadata))

    @staticmethod
    def load(path: PathLike, architecture: str = "") -> Weights:
        """Reads a file that `save`, `distill artifact export` (whatever its names) or `import` wrote. `architecture`: the JSON of
        its architecture file, where the weights do not say themselves. Raises WeightsError."""
        with open(path, "rb") as file:
            tensors, metadata = safetensors.load(bytearray(file.read()))
        described = architecture or metadata.get("architecture", "")
        if not architecture and architectures.FORMAT not in described:
            raise WeightsError("cannot read weights: they do not say what network they are of; give architecture=")
        weights = Weights(tensors, architectures.parse_architecture(described), metadata=metadata)
        if weights._is_whole_staged() and any(name.startswith("blocks.") for name in tensors):
            return dataclasses.replace(weights, tensors=weights._staged())
        return weights

    def _is_whole_staged(self) -> bool:
        return not self.architecture.HasField("nac") and not self.architecture.HasField("module_index")

    def _staged(self) -> safetensors.Tensors:
        """The tensors by staged names; there they go by flat ones, or by both."""
        firsts, staged = architectures.first_blocks(self.architecture), {}
        for name, tensor in self.tensors.items():
            block = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
            if block is not None:
                position = int(block.group(1))
                stage = max(s for s, first in enumerate(firsts) if first <= position)
                name = f"stages.{stage}.blocks.{position - firsts[stage]}.{block.group(2)}"
            elif name.startswith("patch_embed."):
                name = "stages.0." + name
            elif name.startswith(("norm.", "head.")):
                name = f"stages.{len(firsts) - 1}.{name}"
            staged[name] = tensor
        return staged

    def _flat_name(self, name: str) -> str:
        parts = _STAGED.fullmatch(name)
        if parts is None:
            return name
        stage, block, rest = parts.groups()
        if block is None:
            return rest
        return f"blocks.{architectures.first_blocks(self.architecture)[int(stage)] + int(block)}.{rest}"


def _load(network: Any, tensors: Dict[str, Any]) -> None:
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise WeightsError(f"cannot load weights: they are not of the network that is described: {error}") from error


def _torch() -> Any:
    try:
        import torch  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise ImportError("networks need PyTorch: pip install 'distillery-client[torch]'") from error
    return torch
