"""Checks that the dashboards are what their descriptions make, and that each panel says what it shows, in which unit."""

import importlib.util
import json
import os
import re

_MAKER = "deploy/grafana/dashboards.py"
_COLUMNS = 24
_BUILT_IN = {"__rate_interval"}


def problems(tree):
    yield from _not_made(tree)
    uids = {}
    for path in tree.files(".json"):
        if not path.startswith("deploy/grafana/"):
            continue
        try:
            board = json.loads(tree.text(path))
        except ValueError as error:
            yield f"{path}:1: not JSON: {error}"
            continue
        yield from (f"{path}:1: {problem}" for problem in _problems_of_board(board))
        if uids.setdefault(board.get("uid"), path) != path:
            yield f"{path}:1: has the uid of {uids[board['uid']]}"


def _not_made(tree):
    """Files that differ from what the maker writes."""
    if _MAKER not in tree.files(".py"):
        return
    spec = importlib.util.spec_from_file_location("grafana_dashboards", os.path.join(tree.root, _MAKER))
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for name, board in maker.DASHBOARDS.items():
        path = f"deploy/grafana/{name}.json"
        if path not in tree.files(".json") or tree.text(path) != maker.text_of(board):
            yield f"{path}:1: is not what {_MAKER} writes; run it"


def _problems_of_board(board):
    for key in ("uid", "title", "description"):
        if not board.get(key):
            yield f"the dashboard has no {key}"
    variables = {v["name"] for v in board["templating"]["list"]} | _BUILT_IN
    ids, places = set(), set()
    for panel in board["panels"]:
        name = panel.get("title") or f"panel {panel.get('id')}"
        if panel["id"] in ids:
            yield f"{name}: another panel has its id"
        ids.add(panel["id"])
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if cells & places or place["x"] + place["w"] > _COLUMNS:
            yield f"{name}: lies on another panel, or beyond the edge"
        places |= cells
        if panel["type"] != "row":
            yield from (f"{name}: {problem}" for problem in _problems_of_panel(panel, variables))


def _problems_of_panel(panel, variables):
    if not panel.get("title") or not panel.get("description"):
        yield "has no title or no description"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "has no unit"
    if panel["datasource"].get("uid") != "${datasource}":
        yield "does not use the variable $datasource"
    if not panel["targets"]:
        yield "asks for nothing"
    for target in panel["targets"]:
        expression = target["expr"]
        if 'job=~"$job"' not in expression:
            yield f"does not pick by $job: {expression}"
        if not target.get("legendFormat"):
            yield f"has a line without a name: {expression}"
        for used in set(re.findall(r"\$(\w+)", expression)) - variables:
            yield f"uses ${used}, which the dashboard does not have"
