"""Certificates of a test, made as an operator makes them."""

import os
import subprocess

from product import SOURCE_DIR


class Authority:
    """A folder of deploy/ca/ca.sh, with the certificate of a server on this machine."""

    def __init__(self, folder):
        self.folder = folder
        self.make("init")
        self.make("server", "localhost", "127.0.0.1")

    def make(self, *arguments):
        """Runs ca.sh; returns what it printed."""
        made = subprocess.run([os.path.join(SOURCE_DIR, "deploy", "ca", "ca.sh"), "--dir", self.folder, *arguments],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise AssertionError(f"ca.sh {' '.join(arguments)}: {made.stderr}")
        return made.stdout

    def file(self, name):
        return os.path.join(self.folder, name)

    def server_flags(self):
        return ["--tls-cert", self.file("server.pem"), "--tls-key", self.file("server.key"), "--tls-client-ca", self.file("ca.pem")]

    def client_flags(self, name):
        """Those of a worker ("worker-gpu-01") or of a person ("user-alice")."""
        return ["--tls-ca", self.file("ca.pem"), "--tls-cert", self.file(f"{name}.pem"), "--tls-key", self.file(f"{name}.key")]
