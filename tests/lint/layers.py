"""Checks that includes point down only (docs/architecture.md, "Layers")."""

# Folder -> the folders that its files may include, besides itself. "worker/data" is the only folder of
# the worker that others may use (ADR 8). Tests and benchmarks may include anything.
LAYERS = {
    "base": [],
    "proto/status": ["base", "proto"],
    "transport": ["base"],
    "storage/tensor": ["base"],
    "storage/weights": ["base", "proto", "storage/tensor"],
    "storage/archive": ["base"],
    "storage/http": ["base"],
    "storage/blob": ["base", "proto", "storage/http"],
    "storage/settings": ["base", "storage/blob"],
    "storage/state": ["base", "proto"],
    "storage/admin": ["base", "storage/blob", "storage/state"],
    # Of storage, only plain structs: records, and the image of them that recovery hands over.
    "server/scheduler": ["base", "storage/state/records.h", "storage/state/state_store.h"],
    "server/planner": ["base", "proto", "storage/state/records.h", "storage/weights/stage_depths.h",
                       "storage/weights/vit_preset.h"],
    "server/report": ["base", "proto", "storage", "server/planner"],
    "server/engine": ["base", "proto", "storage", "server/scheduler", "server/planner", "server/report"],
    "server/datasets": ["base", "proto", "storage", "server/scheduler", "server/engine",
                        "worker/data"],
    "server/auth": ["base", "proto", "storage/state"],
    "server/rpc": ["base", "proto", "storage", "server/auth", "server/scheduler", "server/planner", "server/report",
                   "server/engine", "server/datasets", "worker/data"],
    # A client of the API like any other.
    "server/web": ["base", "proto", "proto/status"],
    "server/app": ["base", "transport", "proto", "storage", "server", "worker/data"],
    "worker/data": ["base"],
    "worker/priors/graph": ["base"],
    "worker/priors": ["base", "worker/priors/graph"],
    "worker/models/kernels": ["base"],
    "worker/models": ["base", "proto", "storage/tensor", "worker/models/kernels"],
    "worker/optimization": ["base", "proto", "storage/tensor", "worker/models"],
    "worker/training": ["base", "proto", "storage/tensor", "storage/weights", "worker/data", "worker/models",
                        "worker/optimization", "worker/priors", "worker/priors/graph"],
    "worker/pipe": ["base", "proto"],
    "worker/trainer": ["base", "proto", "storage/tensor", "storage/weights", "worker/data", "worker/models",
                       "worker/optimization", "worker/training", "worker/pipe", "worker/priors",
                       "worker/priors/graph"],
    "worker/agent": ["base", "transport", "proto", "storage", "worker/data", "worker/pipe"],
    "client": ["base", "transport", "proto", "storage", "worker/data"],
}

TORCH_FOLDERS = ("worker/models", "worker/optimization", "worker/priors", "worker/training", "worker/trainer")
_TORCH_HEADERS = ("torch/", "ATen/", "c10/", "caffe2/")
# Quoted includes of generated files are written from the root of their own tree.
_GENERATED = {"distill/v1/": "proto", "google/rpc/": "proto"}
_ANYTHING_GOES = "tests/"


def layer_of(path):
    """Returns the most specific folder of the table that holds `path`, or None."""
    folders = [f for f in LAYERS if path.startswith(f + "/")]
    return max(folders, key=len) if folders else None


def _folder_included(path):
    for prefix, folder in _GENERATED.items():
        if path.startswith(prefix):
            return folder + "/" + path
    return path


def problems(tree):
    top_folders = {f.split("/")[0] for f in LAYERS} | {"proto"}
    for path in tree.files(".h", ".cc"):
        in_tests = path.startswith(_ANYTHING_GOES)
        layer = layer_of(path)
        if layer is None and not in_tests:
            yield f"{path}:1: folder is not in the table of tests/lint/layers.py"
            continue
        for line, style, included in tree.includes(path):
            if included.startswith(_TORCH_HEADERS):
                if not in_tests and not path.startswith(tuple(f + "/" for f in TORCH_FOLDERS)):
                    yield f"{path}:{line}: only {', '.join(TORCH_FOLDERS)} may include torch"
                continue
            target = _folder_included(included)
            if in_tests or target.split("/")[0] not in top_folders | {"tests"}:
                continue
            allowed = [layer, *LAYERS[layer]]
            if not any(target == a or target.startswith(a + "/") for a in allowed):
                yield f"{path}:{line}: {layer} may not include {included}"
