"""The files that the checks look at, and their text without comments and string literals."""

import os
import re
import subprocess

_SKIPPED_FOLDERS = {".git", "build", ".distill", "__pycache__"}

# In order: line comment, block comment, raw string, string, character.
_NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|R\"([^(\s]*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)
_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


class Tree:
    """A source tree; paths are relative to its root, with forward slashes."""

    def __init__(self, root):
        self.root = root

    def files(self, *endings):
        """Returns the sorted paths of the files that end so: what git tracks or would add."""
        names = self._git_files()
        if names is None:
            names = self._walked_files()
        return sorted(n for n in names if n.endswith(endings) and os.path.exists(os.path.join(self.root, n)))

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def code(self, path):
        """Returns the text with comments and literals blanked out; line numbers are kept."""
        return _NOT_CODE.sub(lambda m: "\n" * m.group(0).count("\n"), self.text(path))

    def includes(self, path):
        """Returns (line number, "quote" or "angle", included path) of each include."""
        text = self.text(path)
        return [(text.count("\n", 0, m.start(2)) + 1, "quote" if m.group(1) == '"' else "angle", m.group(2))
                for m in _INCLUDE.finditer(text)]

    def _git_files(self):
        run = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             cwd=self.root, capture_output=True, check=False)
        return run.stdout.decode().split("\0") if run.returncode == 0 else None

    def _walked_files(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f not in _SKIPPED_FOLDERS]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root).replace(os.sep, "/")
