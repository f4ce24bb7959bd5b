"""Reads and writes safetensors files with numpy alone; strict, since a file may come from anywhere.

    tensors, metadata = safetensors.load(open("weights.safetensors", "rb").read())
"""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy
import numpy.typing

from distillery.errors import WeightsError

Tensors = Dict[str, "numpy.typing.NDArray[Any]"]

_MAX_HEADER_BYTES = 100 << 20
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
          "BOOL": "?", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
_NAMES = {numpy.dtype(text): name for name, text in _TYPES.items()}


def load(data: Union[bytes, bytearray]) -> Tuple[Tensors, Dict[str, str]]:
    """Returns the tensors by name, and the metadata. Tensors of a bytearray share its memory and can be written to;
    bfloat16, which numpy does not have, becomes float32. Raises WeightsError for a damaged file."""
    if len(data) < 8:
        raise _damaged("it is shorter than its length field")
    (size,) = struct.unpack_from("<Q", data)
    if size > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise _damaged(f"its header goes beyond its end; header_bytes={size} file_bytes={len(data)}")
    try:
        header = json.loads(bytes(data[8:8 + size]).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(f"its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise _damaged("its header is no object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _damaged("its metadata is no object of texts")
    body = memoryview(data)[8 + size:]
    spans = sorted((_span(name, entry) for name, entry in header.items()), key=lambda span: span[1:3])
    end = 0
    tensors: Tensors = {}
    for name, begin, stop, kind, shape in spans:
        if begin != end or stop > len(body):
            raise _damaged(f"tensors leave gaps, overlap or go beyond its end; tensor={name}")
        tensors[name] = _tensor(name, body[begin:stop], kind, shape)
        end = stop
    if end != len(body):
        raise _damaged(f"bytes follow the last tensor; bytes={len(body) - end}")
    return {name: tensors[name] for name in header}, metadata


def _span(name: str, entry: Any) -> Tuple[str, int, int, str, List[int]]:
    if isinstance(entry, dict):
        kind, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if (isinstance(kind, str) and isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
                and all(type(size) is int and 0 <= size < 2**63 for size in (*shape, *offsets)) and offsets[0] <= offsets[1]):
            return name, offsets[0], offsets[1], kind, shape
    raise _damaged(f"the entry of a tensor is not understood; tensor={name}")


def _tensor(name: str, body: memoryview, kind: str, shape: List[int]) -> numpy.typing.NDArray[Any]:
    if kind != "BF16" and kind not in _TYPES:
        raise WeightsError(f"cannot read weights: unknown type of tensor; tensor={name} type={kind}")
    dtype = numpy.dtype("<u2" if kind == "BF16" else _TYPES[kind])
    count = 1
    for side in shape:
        count *= side
    if count * dtype.itemsize != len(body):
        raise _damaged(f"shape and bytes of a tensor disagree; tensor={name} shape={shape} bytes={len(body)}")
    values: numpy.typing.NDArray[Any] = numpy.frombuffer(body, dtype=dtype).reshape(shape)
    if kind == "BF16":
        values = (values.astype("<u4") << 16).view("<f4")
    return values


def _damaged(cause: str) -> WeightsError:
    return WeightsError(f"cannot read weights: the file is damaged: {cause}")


def dump(tensors: Mapping[str, Any], metadata: Optional[Mapping[str, str]] = None) -> bytes:
    """Returns the file of some tensors: numpy arrays, or what numpy can make one of. Larger elements come first."""
    header: Dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    arrays = {name: numpy.ascontiguousarray(value).reshape(numpy.shape(value)) for name, value in tensors.items()}
    parts, offset = [], 0
    for name in sorted(arrays, key=lambda n: (-arrays[n].dtype.itemsize, n)):
        array = arrays[name]
        if array.dtype not in _NAMES:
            raise WeightsError(f"cannot write weights: unknown type of tensor; tensor={name} type={array.dtype}")
        parts.append(array.tobytes())
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(parts[-1])]}
        offset += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])
