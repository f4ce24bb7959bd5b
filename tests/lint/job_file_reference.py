"""Keeps the reference in docs/job-file.md equal to the comments of the .proto files.

usage: job_file_reference.py    rewrites the reference
"""

import os
import re
import sys

from tree import Tree

PAGE = "docs/job-file.md"
PROTOS = ["proto/distill/v1/model.proto", "proto/distill/v1/job.proto"]
ROOT = "JobSpec"
BEGIN = "<!-- reference: made from the .proto files by tests/lint/job_file_reference.py -->"
END = "<!-- end of the reference -->"

_TYPES = {"string": "text", "bool": "true or false", "double": "number", "int32": "whole number",
          "int64": "whole number", "uint64": "whole number"}
_FIELD = re.compile(r"(optional |repeated )?([\w.]+) (\w+) = \d+;(?:\s*//\s*(.*))?$")
_VALUE = re.compile(r"(\w+) = (\d+);(?:\s*//\s*(.*))?$")
_DEFAULT = re.compile(r"\s*\bDefaults?:? (.+?)\.(?=\s|$)")


class Type:
    """A message or an enum: its name, its comment, and its fields or values in order."""

    def __init__(self, kind, name, comment):
        self.kind, self.name, self.comment = kind, name, comment
        self.members = []  # (label, type, name, comment, name of the oneof or None)


def parse(text):
    """Returns the top-level types of a .proto file written in our style, by name."""
    types, current, comment, oneof = {}, None, [], None
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        opened = re.match(r"(message|enum|oneof) (\w+) \{", line)
        if opened and opened.group(1) == "oneof":
            oneof = opened.group(2)
            current.comment = " ".join([current.comment, *comment]).strip()
        elif opened and current is None:
            current = Type(opened.group(1), opened.group(2), " ".join(comment))
            types[current.name] = current
        elif line == "}":
            if oneof:
                oneof = None
            else:
                current = None
        elif current is not None:
            field = _FIELD.match(line) if current.kind == "message" else None
            value = _VALUE.match(line) if current.kind == "enum" else None
            if field:
                label, kind, name, tail = field.groups()
                current.members.append(((label or "").strip(), kind, name, " ".join(comment) or tail or "", oneof))
            elif value and value.group(2) != "0":
                current.members.append(("", "", value.group(1), " ".join(comment) or value.group(3) or "", None))
        comment = []
    return types


def short(enum, value):
    """KD_DIVISOR_BATCH_MEAN of KdDivisor -> batch_mean."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum).upper() + "_"
    return value[len(prefix):].lower() if value.startswith(prefix) else value


def plain(text, types):
    """Writes enum values in a comment as a job file does."""
    for enum in types.values():
        if enum.kind == "enum":
            for _, _, value, _, _ in enum.members:
                text = re.sub(rf"\b{value}\b", f"`{short(enum.name, value)}`", text)
    return text.replace("|", "\\|")


def type_text(label, kind, types):
    if kind in types:
        text = f"[{kind}](#{kind.lower()})"
    else:
        text = _TYPES[kind]
    if label != "repeated":
        return text
    return f"list of {text}" + ("s" if kind in ("int32", "double") else "")


def rows(message, types):
    previous = None
    for label, kind, name, comment, oneof in message.members:
        comment = plain(comment, types)
        default = _DEFAULT.search(comment)
        meaning = _DEFAULT.sub("", comment, count=1).strip() if default else comment
        if not comment and previous and not oneof and kind not in types:
            meaning = f"see `{previous}`"
        elif comment:
            previous = name
        if oneof:
            meaning = f"one of the {oneof}s; {meaning}".rstrip("; ")
        yield f"| `{name}` | {type_text(label, kind, types)} | {default.group(1) if default else ''} | {meaning} |"


def reachable(types):
    """Returns the types that a job file can hold, each after the one that first mentions it."""
    order = [ROOT]
    for name in order:
        for _, kind, _, _, _ in types[name].members:
            if kind in types and kind not in order:
                order.append(kind)
    return [types[name] for name in order]


def reference(tree):
    types = {}
    for path in PROTOS:
        types.update(parse(tree.text(path)))
    lines = [BEGIN, ""]
    for kind in reachable(types):
        title = "The file" if kind.name == ROOT else kind.name
        lines += [f"### {title}", ""]
        if kind.comment:
            lines += [plain(kind.comment, types), ""]
        if kind.kind == "message":
            lines += ["| key | value | default | meaning and range |", "|---|---|---|---|"]
            lines += rows(kind, types)
        else:
            lines += ["| value | meaning |", "|---|---|"]
            lines += [f"| `{short(kind.name, name)}` | {plain(comment, types)} |"
                      for _, _, name, comment, _ in kind.members]
        lines.append("")
    return "\n".join(lines + [END])


def with_reference(page, text):
    start, end = page.index(BEGIN), page.index(END) + len(END)
    return page[:start] + text + page[end:]


def problems(tree):
    if not tree.files(PAGE):
        return
    page = tree.text(PAGE)
    if page != with_reference(page, reference(tree)):
        yield f"{PAGE}:1: not what the .proto files say; run tests/lint/job_file_reference.py"


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tree = Tree(root)
    text = with_reference(tree.text(PAGE), reference(tree))
    with open(os.path.join(root, PAGE), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
