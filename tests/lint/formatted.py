"""Checks that clang-format would change nothing; `./dev format` makes it so."""

import os
import subprocess
from concurrent import futures


def problems(tree):
    files = tree.files(".h", ".cc")
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, text in zip(files, pool.map(lambda f: _formatted(tree.root, f), files)):
            if text != tree.text(path):
                yield f"{path}:1: not formatted; run ./dev format"


def _formatted(root, path):
    return subprocess.run(["clang-format", path], cwd=root, capture_output=True, text=True, check=True).stdout
