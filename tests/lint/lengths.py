"""Checks that no source file is longer than 800 lines."""

LIMIT = 800


def problems(tree):
    for path in tree.files(".h", ".cc", ".py", ".proto"):
        lines = tree.text(path).count("\n")
        if lines > LIMIT:
            yield f"{path}:{LIMIT}: {lines} lines; split it by subject (limit {LIMIT})"
