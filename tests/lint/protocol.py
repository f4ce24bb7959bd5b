"""Checks that the protocol still understands what the last release said (proto/baseline.txt).

usage: protocol.py --accept      writes the baseline anew, when a release is made

Messages keep numbers, names (job files are written with them), types and places of their fields; enums
their values; services their calls. A field or value may go when both its number and its name are reserved.
The pipe between a worker and its trainer is left out: both ends come from the same build.
"""

import os
import subprocess
import sys
import tempfile

BASELINE = "proto/baseline.txt"
_NOT_COMPARED = {"distill/v1/trainer.proto"}
_TYPES = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool",
          9: "string", 10: "group", 12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32",
          18: "sint64"}
_REPEATED = 3


class Message:
    """A protobuf message of unknown type: field number -> values, in order; bytes or numbers."""

    def __init__(self, data):
        self._fields = {}
        position = 0
        while position < len(data):
            key, position = self._varint(data, position)
            if key & 7 == 0:
                value, position = self._varint(data, position)
            elif key & 7 == 2:
                size, position = self._varint(data, position)
                value, position = data[position:position + size], position + size
            else:
                size = 8 if key & 7 == 1 else 4
                value, position = data[position:position + size], position + size
            self._fields.setdefault(key >> 3, []).append(value)

    @staticmethod
    def _varint(data, position):
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, position

    def all(self, number):
        return self._fields.get(number, [])

    def messages(self, number):
        return [Message(value) for value in self.all(number)]

    def number(self, number, default=0):
        return self._fields.get(number, [default])[-1]

    def text(self, number):
        return self._fields.get(number, [b""])[-1].decode()


class Protocol:
    """What must not change: kind, owner and number (or name) of each part -> its description."""

    def __init__(self):
        self.parts = {}
        # owner -> numbers and names that must not be used again
        self.reserved = {}

    def add_file(self, file):
        package = file.text(2)
        for message in file.messages(4):
            self._add_message(package, message)
        for enum in file.messages(5):
            self._add_enum(package, enum)
        for service in file.messages(6):
            owner = f"{package}.{service.text(1)}"
            for call in service.messages(2):
                request = ("stream " if call.number(5) else "") + call.text(2)
                response = ("stream " if call.number(6) else "") + call.text(3)
                self.parts["rpc", owner, call.text(1)] = f"{request} -> {response}"

    def _add_message(self, scope, message):
        owner = f"{scope}.{message.text(1)}"
        oneofs = [oneof.text(1) for oneof in message.messages(8)]
        for field in message.messages(2):
            kind = field.text(6) or _TYPES[field.number(5)]
            if field.number(4) == _REPEATED:
                kind = "repeated " + kind
            if field.number(17):
                kind = "optional " + kind
            elif field.all(9):
                kind = f"oneof {oneofs[field.number(9)]} {kind}"
            self.parts["field", owner, str(field.number(3))] = f"{field.text(1)} {kind}"
        reserved = self.reserved.setdefault(owner, set())
        for span in message.messages(9):
            reserved.update(str(number) for number in range(span.number(1), min(span.number(2), span.number(1) + 1000)))
        reserved.update(name.decode() for name in message.all(10))
        for nested in message.messages(3):
            self._add_message(owner, nested)
        for enum in message.messages(4):
            self._add_enum(owner, enum)

    def _add_enum(self, scope, enum):
        owner = f"{scope}.{enum.text(1)}"
        for value in enum.messages(2):
            self.parts["value", owner, str(value.number(2))] = value.text(1)
        reserved = self.reserved.setdefault(owner, set())
        for span in enum.messages(4):
            reserved.update(str(number) for number in range(span.number(1), span.number(2) + 1))
        reserved.update(name.decode() for name in enum.all(5))

    def lines(self):
        return [f"{kind} {owner} {key} = {what}" for (kind, owner, key), what in sorted(self.parts.items())]


def compiled(root):
    """Returns the Protocol of the .proto files below `root`/proto."""
    folder = os.path.join(root, "proto")
    files = sorted(os.path.relpath(os.path.join(path, name), folder)
                   for path, _, names in os.walk(folder) for name in names if name.endswith(".proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "set")
        subprocess.run(["protoc", f"--proto_path={folder}", f"--descriptor_set_out={out}", *files], check=True)
        with open(out, "rb") as file:
            descriptors = Message(file.read())
    protocol = Protocol()
    for file in descriptors.messages(1):
        if file.text(1) not in _NOT_COMPARED:
            protocol.add_file(file)
    return protocol


def parse(text):
    """Returns the parts of a baseline."""
    parts = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            left, what = line.split(" = ", 1)
            parts[tuple(left.split(" ", 2))] = what
    return parts


def breaks(before, now):
    """Returns one line for each thing that callers of `before` would stumble over."""
    found = []
    for (kind, owner, key), what in sorted(before.items()):
        name = what.split(" ", 1)[0]
        current = now.parts.get((kind, owner, key))
        if current == what:
            continue
        if current is not None:
            found.append(f"{owner} {key}: was `{what}`, is `{current}`")
        elif kind == "rpc" or owner not in now.reserved:
            found.append(f"{owner} {key}: is gone; was `{what}`")
        elif not {key, name} <= now.reserved[owner]:
            found.append(f"{owner} {key}: is gone without `reserved {key}` and `reserved \"{name}\"`; was `{what}`")
    return found


def problems(tree):
    for line in breaks(parse(tree.text(BASELINE)), compiled(tree.root)):
        yield f"{BASELINE}:1: {line}; see docs/protocol.md, \"Changing it\""


def main(arguments):
    if arguments != ["--accept"]:
        print(__doc__, file=sys.stderr)
        return 2
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, BASELINE), "w", encoding="utf-8") as file:
        file.write("# The protocol as of the last release, written by tests/lint/protocol.py --accept.\n")
        file.write("\n".join(compiled(root).lines()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
