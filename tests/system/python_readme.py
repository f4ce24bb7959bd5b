"""Runs the Python blocks of a README as one session.

usage: python_readme.py README

A block that must not be run says why in the line above it: <!-- not run: reason -->. One that needs a module which not
everybody has says <!-- needs NAME -->, and is left out where it is missing. Ends with the number of blocks that ran.
"""

import importlib.util
import re
import sys

_BLOCK = re.compile(r"^(?:<!-- (?P<mark>not run|needs) ?:? ?(?P<what>[^\n]+) -->\n+)?```python\n(?P<code>.*?)^```$",
                    re.MULTILINE | re.DOTALL)


def main(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    session, run = {"__name__": "__main__"}, 0
    for block in _BLOCK.finditer(text):
        needed = block["what"] if block["mark"] == "needs" else None
        if block["mark"] == "not run" or needed and importlib.util.find_spec(needed) is None:
            continue
        # As many empty lines before it as it stands below the top, so that errors name its place.
        above = text.count("\n", 0, block.start("code"))
        exec(compile("\n" * above + block["code"], path, "exec"), session)  # pylint: disable=exec-used
        run += 1
    print(f"{run} blocks ran")


if __name__ == "__main__":
    main(sys.argv[1])
