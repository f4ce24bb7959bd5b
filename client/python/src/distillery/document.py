"""Values on their way into a message: a YAML text, or dictionaries and lists of Python, as one kind of tree.

Each node of a YAML text knows its line and column, so that a complaint can point at the place. Bounded in size, depth and
expansion of aliases, as the server's other clients bound it.
"""

from __future__ import annotations

import dataclasses
import json
import numbers
import re
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000

Position = Tuple[int, int]

_NULL_TAG = "tag:yaml.org,2002:null"
_BARE = re.compile(r"[A-Za-z_][\w./-]*")


class Problem(Exception):
    """One complaint about a document; `position` is None for values that stand in no file."""

    def __init__(self, text: str, position: Optional[Position] = None) -> None:
        super().__init__(text)
        self.text = text
        self.position = position


@dataclasses.dataclass
class Node:
    """kind: "null", "scalar", "list" or "mapping". A mapping has as many `keys`, all scalars, as `items`."""

    kind: str
    position: Optional[Position] = None
    text: str = ""
    quoted: bool = False  # It is text beyond doubt.
    items: List[Node] = dataclasses.field(default_factory=list)
    keys: List[Node] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """What the node is, for "expected a number, got ..."."""
        if self.kind != "scalar":
            return {"null": "nothing", "list": "a list", "mapping": "a mapping"}[self.kind]
        shown = self.text[:60] + "..." if len(self.text) > 60 else self.text
        return f'the quoted text "{shown}"' if self.quoted else f'"{shown}"'

    def flow(self) -> str:
        """The node as it would be written on one line of YAML."""
        if self.kind == "null":
            return "null"
        if self.kind == "scalar":
            return json.dumps(self.text, ensure_ascii=False) if self.quoted else self.text
        if self.kind == "list":
            return "[" + ", ".join(item.flow() for item in self.items) + "]"
        return "{" + ", ".join(f"{k.text}: {v.flow()}" for k, v in zip(self.keys, self.items)) + "}"


def parse(text: str) -> Node:
    """Reads the one YAML (or JSON) document in `text`. Raises Problem when it is none, or exceeds a bound."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Problem(f"larger than {MAX_BYTES} bytes", (1, 1))
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Problem(error.problem or error.context or "not YAML",
                      (mark.line + 1, mark.column + 1) if mark else (1, 1)) from error
    except yaml.YAMLError as error:
        raise Problem(str(error).split("\n", maxsplit=1)[0], (1, 1)) from error
    except RecursionError as error:
        raise Problem(f"nested deeper than {MAX_DEPTH} levels", (1, 1)) from error
    return Node("null", (1, 1)) if root is None else _Converter().node(root, 0)


class _Converter:
    """Copies a tree of PyYAML's, whose aliases are shared nodes, and counts while it does."""

    def __init__(self) -> None:
        self._count = 0

    def node(self, source: Any, depth: int) -> Node:
        position = (source.start_mark.line + 1, source.start_mark.column + 1)
        self._count += 1
        if self._count > MAX_NODES:
            raise Problem(f"more than {MAX_NODES} values, aliases expanded", position)
        if isinstance(source, yaml.ScalarNode):
            quoted = source.style is not None
            if source.tag == _NULL_TAG and not quoted:
                return Node("null", position)
            return Node("scalar", position, str(source.value), quoted)
        if depth >= MAX_DEPTH:
            raise Problem(f"nested deeper than {MAX_DEPTH} levels", position)
        if isinstance(source, yaml.SequenceNode):
            return Node("list", position, items=[self.node(item, depth + 1) for item in source.value])
        made = Node("mapping", position)
        for key, value in source.value:
            name = self.node(key, depth + 1)
            if name.kind != "scalar":
                raise Problem("a key must be a name", name.position)
            if name.text == "<<" and not name.quoted:
                raise Problem("merge keys (<<) are not supported; write out the keys, or alias a whole value",
                              name.position)
            made.keys.append(name)
            made.items.append(self.node(value, depth + 1))
        return made


def native(value: Any, depth: int = 0) -> Node:
    """The tree of a Python value: None, bool, number, str, sequence, array, or mapping with names as keys."""
    if depth > MAX_DEPTH:
        raise Problem(f"nested deeper than {MAX_DEPTH} levels")
    if hasattr(value, "tolist"):  # Arrays and scalars of numpy, tensors.
        value = value.tolist()
    if value is None:
        return Node("null")
    if isinstance(value, bool):
        return Node("scalar", text="true" if value else "false")
    if isinstance(value, str):
        return Node("scalar", text=value, quoted=True)
    if isinstance(value, numbers.Integral):
        return Node("scalar", text=str(int(value)))
    if isinstance(value, numbers.Real):
        return Node("scalar", text=repr(float(value)))
    if isinstance(value, Mapping):
        return Node("mapping", keys=[Node("scalar", text=str(key)) for key in value],
                    items=[native(item, depth + 1) for item in value.values()])
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return Node("list", items=[native(item, depth + 1) for item in value])
    if hasattr(value, "__fspath__"):
        return Node("scalar", text=str(value), quoted=True)
    raise Problem(f"cannot be written in a job file: a {type(value).__name__}")


def label(value: Any) -> str:
    """A Python value as a label shows it: like YAML, but plain names without quotes.

    >>> label("soft"), label([1, 3]), label(0.5)
    ('soft', '[1, 3]', '0.5')
    """
    node = native(value)
    for part in _scalars(node):
        part.quoted = part.quoted and not _BARE.fullmatch(part.text)
    return node.flow()


def _scalars(node: Node) -> List[Node]:
    return [node] if node.kind == "scalar" else [part for item in node.items for part in _scalars(item)]
