"""Checks that docs/errors.md has just the reasons that base/error_reasons.h has."""

import re

LIST = "base/error_reasons.h"
PAGE = "docs/errors.md"


def problems(tree):
    made = re.findall(r'\[\] = "([A-Z_]+)";', tree.text(LIST))
    documented = re.findall(r"^\| `([A-Z_]+)` \|", tree.text(PAGE), re.MULTILINE)
    for reason in sorted(set(made) - set(documented)):
        yield f"{LIST}:1: {reason} is not in {PAGE}"
    for reason in sorted(set(documented) - set(made)):
        yield f"{PAGE}:1: {reason} is not in {LIST}"
    for reason in sorted(set(made)):
        if made.count(reason) > 1 or len(reason) > 63:
            yield f"{LIST}:1: {reason} is there twice, or longer than 63 characters"
