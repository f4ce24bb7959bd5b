"""Makes what the package takes from the rest of the project: message classes and stubs from proto/, reasons from docs/errors.md.

usage: generate.py           rewrites src/distillery/{v1,rpc,reasons.py}
       generate.py --check   says which of these files are not what it would write, and exits with 1 if there is one

The result is committed, so that installing needs no compiler and any runtime will do: what protoc 3.21 writes runs on
every protobuf since, while what later ones write refuses runtimes older than themselves (docs/adr/0021). Hence Debian
bookworm's compiler (packages protobuf-compiler, protobuf-compiler-grpc), and no other.

Messages of google.rpc get a name of our own: an error's details are read by their numbers alone, and a program that
also has Google's package of the same names must not find them defined twice.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))
_PACKAGE = os.path.join(_HERE, "src", "distillery")
_COMPILER = "libprotoc 3.21.12"
_PLUGIN = "grpc_python_plugin"
# Spoken on pipes between our own processes.
_PRIVATE = {"trainer.proto"}

_METHOD = re.compile(r"^  rpc (\w+)\((stream )?(\w+)\) returns \((stream )?(\w+)\);", re.MULTILINE)
_SERVICE = re.compile(r"^service (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_MESSAGE = re.compile(r"^message (\w+) ", re.MULTILINE)
_REASON_ROW = re.compile(r"^\| `([A-Z_]+)` \| [A-Z_, ]+ \| (.+) \|$", re.MULTILINE)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def compile_protos(work):
    """Returns the text of every generated module, by its path in the package."""
    source, output = os.path.join(work, "in"), os.path.join(work, "out")
    for folder in (os.path.join(source, "distill", "v1"), os.path.join(source, "distillery", "rpc"), output):
        os.makedirs(folder)
    names = []
    for name in sorted(set(os.listdir(os.path.join(_ROOT, "proto", "distill", "v1"))) - _PRIVATE):
        names.append(f"distill/v1/{name}")
        write(os.path.join(source, names[-1]), read(_ROOT, "proto", names[-1]))
    for name in sorted(os.listdir(os.path.join(_ROOT, "proto", "google", "rpc"))):
        names.append(f"distillery/rpc/{name}")
        text = read(_ROOT, "proto", "google", "rpc", name)
        write(os.path.join(source, names[-1]), text.replace("package google.rpc;", "package distillery.rpc;"))
    services = [n for n in names if "\nservice " in read(source, n)]
    subprocess.run(["protoc", f"-I{source}", f"--python_out=pyi_out:{output}", *names], check=True)
    subprocess.run(["protoc", f"-I{source}", f"--plugin=protoc-gen-grpc={shutil.which(_PLUGIN)}", f"--grpc_out={output}", *services],
                   check=True)
    modules = {"v1/__init__.py": '"""Messages and stubs of proto/distill/v1, as protoc makes them."""\n',
               "rpc/__init__.py": '"""Details of errors: the messages of google.rpc under a name of our own."""\n'}
    for folder, _, files in os.walk(output):
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), output)
            text = read(folder, name).replace("from distill.v1 import", "from distillery.v1 import")
            modules[path.replace("distill/v1/", "v1/").replace("distillery/rpc/", "rpc/")] = text
    for name in services:
        stem = os.path.basename(name)[:-len(".proto")]
        modules[f"v1/{stem}_pb2_grpc.pyi"] = stub_types(source, name, names)
    return modules


def stub_types(source, name, names):
    """The types of the stubs of one file, which the plugin does not write."""
    homes = {message: os.path.basename(n)[:-len(".proto")] + "_pb2" for n in names if n.startswith("distill/")
             for message in _MESSAGE.findall(read(source, n))}
    lines, used = [], set()
    for service, body in _SERVICE.findall(read(source, name)):
        lines += ["", f"class {service}Stub:", "    def __init__(self, channel: grpc.Channel) -> None: ..."]
        for method, up, request, down, response in _METHOD.findall(body):
            kind = f"{'Stream' if up else 'Unary'}{'Stream' if down else 'Unary'}"
            used |= {homes[request], homes[response]}
            lines.append(f"    {method}: {kind}[{homes[request]}.{request}, {homes[response]}.{response}]")
    imports = ["import grpc", "", "from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary"]
    return "\n".join([*imports, f"from distillery.v1 import {', '.join(sorted(used))}", *lines]) + "\n"


def reasons():
    """The module that knows every reason of docs/errors.md and what to do about it."""
    rows = _REASON_ROW.findall(read(_ROOT, "docs", "errors.md"))
    lines = ['"""Reasons of errors, and what to do about each: the table of docs/errors.md, by generate.py."""',
             "", "from __future__ import annotations", ""]
    lines += [f'{reason} = "{reason}"' for reason, _ in rows]
    lines += ["", "HINTS: dict[str, str] = {"]
    lines += [f"    {reason}: {hint.replace('`', '')!r}," for reason, hint in rows]
    return "\n".join([*lines, "}"]) + "\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def present():
    """The generated modules that are there, by path."""
    found = {"reasons.py"} if os.path.exists(os.path.join(_PACKAGE, "reasons.py")) else set()
    for folder in ("v1", "rpc"):
        if os.path.isdir(os.path.join(_PACKAGE, folder)):
            found |= {f"{folder}/{n}" for n in os.listdir(os.path.join(_PACKAGE, folder)) if n.endswith((".py", ".pyi"))}
    return found


def wanted():
    """What the files should be: text by path. Raises RuntimeError without the right programs."""
    for program in ("protoc", _PLUGIN):
        if shutil.which(program) is None:
            raise RuntimeError(f"cannot generate: {program} is missing; install protobuf-compiler and protobuf-compiler-grpc")
    version = subprocess.run(["protoc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if version != _COMPILER:
        raise RuntimeError(f"cannot generate: needs {_COMPILER} (Debian bookworm); got={version}")
    with tempfile.TemporaryDirectory() as work:
        return {**compile_protos(work), "reasons.py": reasons()}


def differing():
    """Paths of the files that are not what they should be."""
    modules = wanted()
    return sorted((present() - set(modules)) | {
        path for path, text in modules.items()
        if not os.path.exists(os.path.join(_PACKAGE, path)) or read(_PACKAGE, path) != text})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        stale = differing()
        for path in stale:
            print(f"client/python/src/distillery/{path}:1: stale; run client/python/generate.py")
        return 1 if stale else 0
    modules = wanted()
    for path in present() - set(modules):
        os.remove(os.path.join(_PACKAGE, path))
    for path, text in modules.items():
        write(os.path.join(_PACKAGE, path), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
