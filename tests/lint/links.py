"""Checks that links in Markdown files lead somewhere: to a file, and to a heading of it."""

import os
import re

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")


def anchors(text):
    """Returns the anchors of the headings, made as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+\s+(.*)$", _FENCE.sub("", text), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(anchor)
    return found


def problems(tree):
    for path in tree.files(".md"):
        text = _FENCE.sub(lambda m: "\n" * m.group(0).count("\n"), tree.text(path))
        text = _CODE.sub("", text)
        for match in _LINK.finditer(text):
            target = match.group(1)
            if re.match(r"[a-z]+:", target):
                continue
            line = text.count("\n", 0, match.start()) + 1
            name, _, anchor = target.partition("#")
            linked = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if not os.path.exists(os.path.join(tree.root, linked)):
                yield f"{path}:{line}: no such file: {target}"
            elif anchor and linked.endswith(".md") and anchor not in anchors(tree.text(linked)):
                yield f"{path}:{line}: no such heading: {target}"
