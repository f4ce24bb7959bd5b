"""Reads and writes safetensors files: an 8-byte length, a JSON header, then the tensors' bytes."""

import json
import struct

import numpy
import torch

_TYPES = {"F64": numpy.float64, "F32": numpy.float32, "I64": numpy.int64, "I32": numpy.int32, "U8": numpy.uint8}
_NAMES = {numpy.dtype(t): name for name, t in _TYPES.items()}


def write(path, tensors):
    """Writes a dictionary of tensors by name."""
    header, chunks, offset = {}, [], 0
    for name in sorted(tensors):
        array = numpy.ascontiguousarray(tensors[name].detach().numpy())
        chunk = array.tobytes()
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + len(chunk)]}
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)))
        out.write(text)
        out.writelines(chunks)


def read(path):
    """Returns the dictionary of tensors by name."""
    with open(path, "rb") as source:
        data = source.read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(data[8 + size + begin:8 + size + end], dtype=_TYPES[entry["dtype"]])
        tensors[name] = torch.from_numpy(array.copy()).reshape(entry["shape"])
    return tensors
