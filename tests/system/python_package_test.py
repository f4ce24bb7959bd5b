"""The Python package as a user gets it: pip installs it into a fresh environment with grpcio and protobuf from PyPI, and the
notebook of its README runs there; once more with Debian's PyTorch and with timm.

usage: python_package_test.py [FOLDER]: where the environments are made; without it only Debian's packages are tried.
"""

import os
import re
import shutil
import subprocess
import sys
import unittest

from product import SOURCE_DIR, ProductTest

# As tests/golden/pytorch/timm_test.py has them; timm without its dependencies, which are gigabytes.
_TIMM = (["huggingface_hub==0.36.2", "safetensors==0.8.0"], "timm==0.9.16")
_PACKAGE = os.path.join(SOURCE_DIR, "client", "python")
_FOLDER = os.path.abspath(sys.argv[1]) if len(sys.argv) == 2 else None


def environment(name, *flags):
    """The interpreter of a new environment. What it has from PyPI is fetched anew each time; pip keeps a copy."""
    folder = os.path.join(_FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", *flags, folder], check=True)
    return os.path.join(folder, "bin", "python")


def pip(python, *arguments):
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)


class PackageTest(ProductTest):
    def setUp(self):
        super().setUp()
        # pip builds in the folder that it is given.
        self.package = self.product.path("package")
        shutil.copytree(_PACKAGE, self.package)
        self.product.start_server()
        self.product.start_worker()
        self.clone = self.product.path("clone")
        os.makedirs(self.clone)
        shutil.copytree(os.path.join(SOURCE_DIR, "deploy", "jobs"), os.path.join(self.clone, "deploy", "jobs"))

    def run_readme(self, python):
        """Returns how many blocks ran."""
        run = subprocess.run(
            [python, os.path.join(SOURCE_DIR, "tests", "system", "python_readme.py"), os.path.join(_PACKAGE, "README.md")],
            cwd=self.clone, env={**os.environ, "DISTILL_SERVER": self.product.server.grpc, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn('did you mean "tau"?', run.stdout)
        self.assertIn("tasks were reused", run.stdout)
        return int(re.search(r"(\d+) blocks ran", run.stdout).group(1))

    def versions(self, python):
        run = subprocess.run([python, "-c", "import grpc, google.protobuf as p; print(grpc.__version__, p.__version__)"],
                             capture_output=True, text=True, check=True)
        print("grpcio and protobuf:", run.stdout.strip(), file=sys.stderr)
        return run.stdout.split()

    @unittest.skipUnless(_FOLDER, "needs a folder for environments")
    def test_fresh_environment(self):
        python = environment("fresh")
        pip(python, f"{self.package}[pandas]")
        self.assertNotEqual(self.versions(python)[0], "1.51.1")
        self.assertEqual(self.run_readme(python), 7)
        pip(python, "mypy", "types-protobuf")
        program = self.product.write("program.py", "from distillery import Client\n"
                                     "print(Client('a').report('j').job.id + 1)\n")
        run = subprocess.run([python, "-m", "mypy", "--strict", program], capture_output=True, text=True, check=False)
        self.assertIn("Unsupported operand types for +", run.stdout, "the installed package has types")

    @unittest.skipUnless(_FOLDER, "needs a folder for environments")
    def test_with_pytorch_and_timm(self):
        python = environment("torch", "--system-site-packages")
        pip(python, "--ignore-installed", "grpcio", "protobuf", *_TIMM[0])
        pip(python, "--no-deps", _TIMM[1])
        pip(python, self.package)
        self.assertNotEqual(self.versions(python)[0], "1.51.1")
        self.assertEqual(self.run_readme(python), 9)

    def test_debian_packages(self):
        os.environ["PYTHONPATH"] = os.path.join(_PACKAGE, "src")
        self.addCleanup(os.environ.pop, "PYTHONPATH")
        self.assertEqual(self.run_readme("/usr/bin/python3"), 8)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
