"""Checks that no merge was committed with its conflict markers."""

import re

_MARKER = re.compile(r"^(?:<{7} |>{7} |={7}$)", re.MULTILINE)
_ENDINGS = (".h", ".cc", ".py", ".proto", ".txt", ".cmake", ".md", ".yml", ".yaml", ".json", "dev", "run")


def problems(tree):
    for path in tree.files(*_ENDINGS):
        text = tree.text(path)
        for match in _MARKER.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: conflict marker"
