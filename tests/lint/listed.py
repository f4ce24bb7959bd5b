"""Checks that every source file is named by the CMakeLists.txt of its folder, or of one above it."""

import os
import re


def problems(tree):
    words = {}
    for path in tree.files("CMakeLists.txt"):
        text = re.sub(r"#[^\n]*", "", tree.text(path))
        words[os.path.dirname(path)] = text
    for path in tree.files(".h", ".cc", ".proto"):
        folder = os.path.dirname(path)
        name = os.path.basename(path)
        listed = False
        while True:
            below = os.path.relpath(path, folder or ".").replace(os.sep, "/")
            if folder in words and _names(words[folder], below, name):
                listed = True
                break
            if not folder:
                break
            folder = os.path.dirname(folder)
        if not listed:
            yield f"{path}:1: no CMakeLists.txt lists this file"


def _names(text, below, name):
    if re.search(rf"(^|[\s/\"(]){re.escape(below)}($|[\s)\"])", text):
        return True
    # foreach(subject a b) ... ${subject}_test.cc
    for pattern in re.findall(r"\$\{\w+\}([\w.]+)", text):
        if below == name and name.endswith(pattern):
            stem = name[: -len(pattern)]
            if re.search(rf"(^|[\s(\"]){re.escape(stem)}($|[\s)\"])", text):
                return True
    return False
