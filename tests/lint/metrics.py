"""Checks that docs/metrics.md has just the metrics that programs export, and all that rules and dashboards ask for."""

import re

CATALOGUE = "docs/metrics.md"
_METRIC = re.compile(r"(?<![:\w])(?:distill|process)_[a-z0-9_]+")
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")
# Only there is a literal of this form the name of a metric.
_MAKES_METRIC = re.compile(r"AddCounter|AddGauge|AddHistogram|ExposeProcessMetrics")


def exported(tree):
    """Returns name -> path of every metric named in a file that makes metrics."""
    names = {}
    for path in tree.files(".h", ".cc"):
        text = tree.text(path)
        if not path.startswith("tests/") and _MAKES_METRIC.search(text):
            names.update((name, path) for name in re.findall(r'(?:"|\{)((?:distill|process)_[a-z0-9_]+)"', text))
    return names


def problems(tree):
    documented = set(_METRIC.findall(tree.text(CATALOGUE)))
    made = exported(tree)
    for name in sorted(set(made) - documented):
        yield f"{made[name]}:1: {name} is not in {CATALOGUE}"
    for name in sorted(documented - set(made)):
        yield f"{CATALOGUE}:1: no program exports {name}"
    for path in tree.files("rules.yml", ".json"):
        if not path.startswith("deploy/"):
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            for name in _METRIC.findall(line):
                if name not in documented and _SUFFIX.sub("", name) not in documented:
                    yield f"{path}:{number}: {name} is not in {CATALOGUE}"
