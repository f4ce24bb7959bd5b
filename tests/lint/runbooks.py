"""Checks that every alert has a runbook, that it is where the alert says and says all that it should, and a test of its own."""

import os
import re

from links import anchors

_PARTS = ("* Means: ", "* Look at: ", "* Do: ")


def problems(tree):
    for path in tree.files("rules.yml"):
        text = tree.text(path)
        alerts = re.findall(r"^\s*- alert:\s*(\S+)", text, re.MULTILINE)
        runbooks = re.findall(r"^\s*runbook:\s*(\S+)#(\S+)", text, re.MULTILINE)
        if len(runbooks) != len(alerts):
            yield f"{path}:1: {len(alerts)} alerts, but {len(runbooks)} runbooks"
        for name, anchor in runbooks:
            if not os.path.exists(os.path.join(tree.root, name)) or anchor not in anchors(tree.text(name)):
                yield f"{path}:1: no such runbook: {name}#{anchor}"
        for name in {name for name, _ in runbooks if os.path.exists(os.path.join(tree.root, name))}:
            yield from _problems_of_page(name, tree.text(name), alerts)
        yield from _untested(tree, path, alerts)


def _problems_of_page(name, text, alerts):
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading = section.split("\n", 1)[0]
        if heading not in alerts:
            yield f"{name}:1: no alert has the runbook {heading}"
        elif not all(part in section for part in _PARTS):
            yield f"{name}:1: {heading} does not say what it means, what to look at and what to do"


def _untested(tree, path, alerts):
    tests = "".join(tree.text(test) for test in tree.files(".yml")
                    if os.path.dirname(test) == os.path.dirname(path) and os.path.basename(test).startswith("tests"))
    for alert in alerts:
        if not re.search(rf"alertname: {alert}\n\s*exp_alerts:", tests):
            yield f"{path}:1: no test lets {alert} fire"
        if not re.search(rf"alertname: {alert}}}", tests):
            yield f"{path}:1: no test keeps {alert} quiet"
