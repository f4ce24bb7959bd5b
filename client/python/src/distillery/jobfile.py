"""Job files and overrides: YAML, JSON, textproto or dictionaries of Python, read into a JobSpec field by field.

Nothing is guessed and nothing ignored: each key must name a field and each value must have the field's type. Complaints
look like a compiler's, all of them at once:

    job.yaml:12:3: unknown key "distilation" in the file; did you mean "distillation"?

Ranges and combinations of values are the server's to check.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from distillery import document
from distillery.document import Node, Position, Problem
from distillery.errors import JobFileError
from distillery.v1 import job_pb2

_MAX_PROBLEMS = 20

JobSource = Union[str, "os.PathLike[str]", Mapping[str, Any], job_pb2.JobSpec]
Overrides = Union[Mapping[str, Any], Sequence[str]]

_INTEGERS = {FieldDescriptor.CPPTYPE_INT32: (-2**31, 2**31 - 1), FieldDescriptor.CPPTYPE_INT64: (-2**63, 2**63 - 1),
             FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1), FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1)}
_WIDE = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def load_job(source: JobSource, overrides: Optional[Overrides] = None) -> job_pb2.JobSpec:
    """Returns the JobSpec of a file's path, a dictionary with a job file's keys, or a JobSpec (which is copied).

    `overrides` replace single fields afterwards: {"distillation.tau": 2, "student.vit": {"depth": 4}}, or texts as
    `distill job submit --set` takes them, ["distillation.tau=2"]. Raises JobFileError; NotFound never: a file that is
    not there is the operating system's FileNotFoundError.

    >>> load_job({"dataset": {"path": "/data"}}, {"distillation.kind": "hard"}).distillation.kind == 2
    True
    """
    if isinstance(source, job_pb2.JobSpec):
        spec = job_pb2.JobSpec()
        spec.CopyFrom(source)
    elif isinstance(source, Mapping):
        spec = job_pb2.JobSpec()
        reader = _Reader(proto_json=False)
        try:
            reader.message(document.native(source), "", spec)
        except Problem as problem:
            reader.problems.append(problem)
        _require_sound(reader.problems, "job")
    else:
        spec = parse_job(_read_file(source), os.fspath(source))
    override(spec, overrides or {})
    _require_dataset(spec, "job" if isinstance(source, (Mapping, job_pb2.JobSpec)) else os.fspath(source))
    return spec


def parse_job(text: str, name: str = "job.yaml") -> job_pb2.JobSpec:
    """Reads a job file's text; the format follows the ending of `name` (.json, .textproto, .txtpb, else YAML)."""
    spec = job_pb2.JobSpec()
    lower = name.lower()
    if lower.endswith((".textproto", ".txtpb")):
        try:
            text_format.Parse(text, spec)
        except text_format.ParseError as error:
            line, column = error.GetLine() or 1, error.GetColumn() or 1
            cause = re.sub(r"^\d+:\d+ : ", "", str(error))
            raise JobFileError(f"{name}:{line}:{column}: {cause}") from error
        return spec
    reader = _Reader(proto_json=lower.endswith(".json"))
    try:
        reader.message(document.parse(text), "", spec)
    except Problem as problem:
        reader.problems.append(problem)
    _require_sound(reader.problems, name)
    return spec


def override(spec: job_pb2.JobSpec, overrides: Overrides) -> None:
    """Replaces fields of `spec`; see load_job. On error `spec` is unchanged. Raises JobFileError."""
    changed = job_pb2.JobSpec()
    changed.CopyFrom(spec)
    for path, value, shown in _assignments(overrides):
        _replace(changed, path, value, shown)
    spec.CopyFrom(changed)


def _read_file(path: Union[str, "os.PathLike[str]"]) -> str:
    with open(path, encoding="utf-8") as file:
        try:
            return file.read(document.MAX_BYTES + 1)
        except UnicodeDecodeError as error:
            raise JobFileError(f"{os.fspath(path)}: is not UTF-8 text") from error


def _require_dataset(spec: job_pb2.JobSpec, name: str) -> None:
    if not (spec.dataset.path or spec.dataset.HasField("name") or spec.HasField("preset")):
        raise JobFileError(
            f"{name}: missing required key dataset.path, the folder that holds the data set; for example "
            "/usr/share/datasets/fashion-mnist; or dataset.name, or preset")


def _require_sound(problems: Sequence[Problem], name: str) -> None:
    if not problems:
        return
    lines = [_place(name, p.position) + p.text for p in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"{name}: and {len(problems) - _MAX_PROBLEMS} more")
    raise JobFileError("\n".join(lines))


def _place(name: str, position: Optional[Position]) -> str:
    return f"{name}: " if position is None else f"{name}:{position[0]}:{position[1]}: "


def _assignments(overrides: Overrides) -> Iterable[Tuple[str, Node, str]]:
    """(path, value, how it was written) of each override."""
    if isinstance(overrides, str):
        raise JobFileError(f"override {overrides}: expected a dictionary, or a list of texts KEY=VALUE")
    if isinstance(overrides, Mapping):
        for path, value in overrides.items():
            try:
                yield path, document.native(value), f"{path}={value!r}"
            except Problem as problem:
                raise JobFileError(f"override {path}: {problem.text}") from problem
        return
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise JobFileError(f"override {text}: expected KEY=VALUE, such as distillation.tau=2")
        try:
            yield path.strip(), document.parse(value), text
        except Problem as problem:
            raise JobFileError(f"override {text}: {problem.text}") from problem


def _replace(spec: job_pb2.JobSpec, path: str, value: Node, shown: str) -> None:
    message: Any = spec
    where = "the job"
    names = path.split(".")
    for i, name in enumerate(names):
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            known = [f.name for f in message.DESCRIPTOR.fields]
            raise JobFileError(f'override {shown}: unknown key "{name}" in {where}{_suggestion(name, known, "keys")}')
        where = ".".join(names[:i + 1])
        if i + 1 == len(names):
            reader = _Reader(proto_json=False)
            reader.field(value, where, field, message)
            if reader.problems:
                raise JobFileError(f"override {shown}: {reader.problems[0].text}")
        elif field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE or _is_repeated(field):
            raise JobFileError(f"override {shown}: {where} holds a value, not keys")
        else:
            message = getattr(message, name)


class _Reader:
    """Fills messages by reflection alone, so that a field that is added to a .proto can be written at once.

    proto_json: keys in lowerCamelCase and 64-bit integers in quotes are taken too, as protobuf's JSON has them.
    """

    def __init__(self, proto_json: bool) -> None:
        self.problems: List[Problem] = []
        self._proto_json = proto_json

    def message(self, node: Node, path: str, message: Any) -> None:
        where = path or "the file"
        if node.kind != "mapping":
            self._expected(node, where, "a mapping of keys to values")
            return
        kind = message.DESCRIPTOR
        seen: Dict[str, Node] = {}
        chosen: Dict[str, str] = {}
        for key, value in zip(node.keys, node.items):
            field = self._find(kind, key.text)
            if field is None:
                known = [f.name for f in kind.fields]
                self._complain(key, f'unknown key "{key.text}" in {where}{_suggestion(key.text, known, "keys")}')
                continue
            field_path = f"{path}.{field.name}" if path else field.name
            if field.name in seen:
                self._complain(key, f"{field_path}: given twice{_first_line(seen[field.name])}")
                continue
            seen[field.name] = key
            oneof = field.containing_oneof
            if oneof is not None and len(oneof.fields) > 1:
                other = chosen.setdefault(oneof.name, field.name)
                if other != field.name:
                    other_path = f"{path}.{other}" if path else other
                    self._complain(key, f"{field_path}: excludes {other_path}; keep one of them")
                    continue
            self.field(value, field_path, field, message)

    def field(self, node: Node, path: str, field: FieldDescriptor, message: Any) -> None:
        """Replaces one field of `message`."""
        if node.kind == "null":
            self._complain(node, f"{path}: has no value; give one or remove the key")
            return
        message.ClearField(field.name)
        if not _is_repeated(field):
            if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                part = getattr(message, field.name)
                part.SetInParent()
                self.message(node, path, part)
            else:
                value = self._value(node, path, field)
                if value is not None:
                    setattr(message, field.name, value)
            return
        if node.kind != "list":
            self._expected(node, path, "a list such as [a, b]")
            return
        for i, item in enumerate(node.items):
            if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                self.message(item, f"{path}[{i}]", getattr(message, field.name).add())
            else:
                value = self._value(item, f"{path}[{i}]", field)
                if value is not None:
                    getattr(message, field.name).append(value)

    def _find(self, kind: Descriptor, key: str) -> Optional[FieldDescriptor]:
        field = kind.fields_by_name.get(key)
        if field is None and self._proto_json:
            field = next((f for f in kind.fields if f.json_name == key), None)
        return field

    def _value(self, node: Node, path: str, field: FieldDescriptor) -> Any:
        """The value for a field that is no message, or None after a complaint."""
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return self._enum(node, path, field.enum_type)
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return node.text if node.kind == "scalar" else self._expected(node, path, "text")
        plain = node.kind == "scalar" and (not node.quoted or self._proto_json and field.cpp_type in _WIDE)
        if field.cpp_type in _INTEGERS:
            least, most = _INTEGERS[field.cpp_type]
            if plain and _INTEGER.fullmatch(node.text) and least <= int(node.text) <= most:
                return int(node.text)
            return self._expected(node, path, f"a whole number from {least} to {most}")
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            if plain and node.text in ("true", "false"):
                return node.text == "true"
            return self._expected(node, path, "true or false")
        if plain and _NUMBER.fullmatch(node.text) and math.isfinite(float(node.text)):
            return float(node.text)
        return self._expected(node, path, "a number")

    def _enum(self, node: Node, path: str, kind: Any) -> Any:
        if node.kind != "scalar":
            return self._expected(node, path, "a name")
        for value in kind.values:
            if value.number != 0 and node.text in (value.name, short_name(kind, value.name)):
                return value.number
        known = [short_name(kind, v.name) for v in kind.values if v.number != 0]
        return self._complain(node, f'{path}: unknown value "{node.text}"{_suggestion(node.text, known, "values")}')

    def _complain(self, node: Node, text: str) -> None:
        self.problems.append(Problem(text, node.position))

    def _expected(self, node: Node, path: str, what: str) -> None:
        self._complain(node, f"{path}: expected {what}, got {node.describe()}")


def _is_repeated(field: FieldDescriptor) -> bool:
    # `label` is gone from newer runtimes, `is_repeated` not there in older ones.
    repeated = getattr(field, "is_repeated", None)
    return bool(getattr(field, "label", None) == FieldDescriptor.LABEL_REPEATED if repeated is None else repeated)


def _first_line(key: Node) -> str:
    return "" if key.position is None else f"; first on line {key.position[0]}"


def short_name(kind: EnumDescriptor, value: str) -> str:
    """Returns the name of an enum's value as job files have it: KD_KIND_SOFT of KdKind -> soft."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).upper() + "_"
    return (value[len(prefix):] if value.startswith(prefix) else value).lower()


def state_name(state: int, kind: EnumDescriptor = job_pb2.JobState.DESCRIPTOR) -> str:
    """Returns a state for people: "succeeded".

    >>> state_name(job_pb2.JOB_STATE_SUCCEEDED)
    'succeeded'
    """
    return short_name(kind, kind.values_by_number[state].name) if state in kind.values_by_number else str(state)


def _suggestion(word: str, known: Sequence[str], nouns: str) -> str:
    near = difflib.get_close_matches(word.lower(), known, 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else f"; the {nouns} are {', '.join(known)}"
