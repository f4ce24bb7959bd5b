"""Checks that every alert has a runbook, and that it is where the alert says."""

import os
import re

from links import anchors


def problems(tree):
    for path in tree.files("rules.yml"):
        text = tree.text(path)
        alerts = len(re.findall(r"^\s*- alert:", text, re.MULTILINE))
        runbooks = re.findall(r"^\s*runbook:\s*(\S+)#(\S+)", text, re.MULTILINE)
        if len(runbooks) != alerts:
            yield f"{path}:1: {alerts} alerts, but {len(runbooks)} runbooks"
        for name, anchor in runbooks:
            if not os.path.exists(os.path.join(tree.root, name)) or anchor not in anchors(tree.text(name)):
                yield f"{path}:1: no such runbook: {name}#{anchor}"
