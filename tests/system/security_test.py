"""The secure product as an operator sets it up: certificates of deploy/ca, a server beyond the loopback, workers that train over TLS,
people with certificates and with tokens."""

import json
import os
import stat
import subprocess
import unittest

from authority import Authority
from product import (INVALID, NOT_ALLOWED, NOT_FOUND, OK, TINY_JOB, UNREACHABLE, ProductTest, eventually, program,
                     write_idx_dataset)


class SecurityTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.product.path("ca"))

    def as_user(self, name, *arguments):
        return self.product.distill(*arguments, *self.authority.client_flags(f"user-{name}"))

    def test_a_job_runs_over_tls_and_only_its_project_sees_it(self):
        for user, role in (("alice", "admin"), ("bob", "editor@vision"), ("carol", "viewer@audio")):
            self.authority.make("user", user, role)
        self.authority.make("worker", "gpu-01")
        # A copy in the object store is what the worker trains from: it may read that, and nothing else.
        data = write_idx_dataset(self.product.path("data"))
        self.product.start_server(*self.authority.server_flags(), "--dataset-root", self.product.path("data"))
        added = self.as_user("bob", "dataset", "add", "digits", "--path", data, "--upload", "--project", "vision")
        self.assertEqual(added.returncode, OK, added.stderr)
        os.rename(data, self.product.path("moved"))
        job_file = self.product.write("job.yaml", "project: vision\n" + TINY_JOB.replace("{path: %s}", "{name: digits}"))
        refused = self.as_user("carol", "job", "submit", job_file)
        self.assertEqual(refused.returncode, NOT_ALLOWED, refused.stderr)
        submitted = self.as_user("bob", "job", "submit", job_file)
        self.assertEqual(submitted.returncode, OK, submitted.stderr)
        job = submitted.stdout.strip()

        worker = self.product.start_worker(*self.authority.client_flags("worker-gpu-01"))
        waited = self.as_user("bob", "job", "wait", job)
        self.assertEqual(waited.returncode, OK, waited.stderr + worker.log())
        self.assertEqual(worker.log().count("PERMISSION_DENIED"), 0, worker.log())
        # The worker is who its certificate says.
        workers = json.loads(self.as_user("alice", "worker", "list", "-o", "json").stdout)["workers"]
        self.assertEqual([w["info"]["worker_id"] for w in workers], ["gpu-01"])

        report = self.as_user("bob", "job", "report", job)
        self.assertEqual(report.returncode, OK, report.stderr)
        self.assertEqual(self.as_user("bob", "job", "logs", job).returncode, OK)
        listed = json.loads(self.as_user("bob", "artifact", "list", "--job", job, "-o", "json").stdout)["artifacts"]
        target = self.product.path("artifact")
        for artifact in listed:
            got = self.as_user("bob", "artifact", "get", artifact["digest"], "--file", target)
            self.assertEqual(got.returncode, OK, got.stderr)
        for command in (["job", "get", job], ["job", "report", job], ["job", "logs", job], ["artifact", "list", "--job", job],
                        ["artifact", "get", listed[0]["digest"]], ["dataset", "get", "digits"]):
            foreign = self.as_user("carol", *command)
            self.assertEqual(foreign.returncode, NOT_FOUND, f"{command}: {foreign.stdout}{foreign.stderr}")

    def test_the_first_token_and_the_ones_after_it(self):
        folder = self.product.path("server")
        token = self.product.path("admin.token")
        issue = [program("distill-server"), "--data-dir", folder, "--issue-admin-token", token]
        self.assertEqual(subprocess.run(issue, capture_output=True, check=False).returncode, OK)
        self.assertEqual(stat.S_IMODE(os.stat(token).st_mode), 0o600)
        # It does not write over a file.
        again = subprocess.run(issue, capture_output=True, text=True, check=False)
        self.assertNotEqual(again.returncode, OK)
        self.assertIn(token, again.stderr)

        server = self.product.start_server(*self.authority.server_flags())
        running = subprocess.run([*issue[:-1], self.product.path("other")], capture_output=True, text=True, check=False)
        self.assertIn("the server runs", running.stderr)
        ca = ["--tls-ca", self.authority.file("ca.pem")]
        admin = [*ca, "--token-file", token]
        self.assertIn("admin in all projects", self.product.distill("whoami", *admin).stdout)
        bob = self.product.path("bob.token")
        made = self.product.distill("token", "create", "--role", "editor", "--project", "vision", "--file", bob, *admin)
        self.assertEqual(made.returncode, OK, made.stderr)
        self.assertEqual(stat.S_IMODE(os.stat(bob).st_mode), 0o600)
        self.assertIn("editor in vision", self.product.distill("whoami", *ca, "--token-file", bob).stdout)
        self.assertEqual(self.product.distill("worker", "drain", "w", *ca, "--token-file", bob).returncode, NOT_ALLOWED)

        listed = json.loads(self.product.distill("token", "list", "-o", "json", *admin).stdout)["tokens"]
        mine = next(t for t in listed if t["project"] == "vision")
        self.assertEqual(self.product.distill("token", "revoke", mine["id"], *admin).returncode, OK)
        refused = self.product.distill("whoami", *ca, "--token-file", bob)
        self.assertEqual(refused.returncode, NOT_ALLOWED)
        self.assertIn("revoked", refused.stderr)
        os.chmod(bob, 0o644)
        self.assertIn("chmod 600", self.product.distill("whoami", *ca, "--token-file", bob).stderr)

        with open(bob, encoding="ascii") as file:
            secret = file.read().strip().rsplit("_", 1)[1]
        eventually(lambda: "RevokeToken" in self.audit(folder), "the audit log tells of the revocation")
        server.stop()
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    self.assertNotIn(secret.encode(), file.read(), name)

    @staticmethod
    def audit(folder):
        with open(os.path.join(folder, "audit.jsonl"), encoding="utf-8") as file:
            return file.read()

    def test_what_cannot_work_is_said_before_it_is_tried(self):
        def server(*flags):
            return subprocess.run([program("distill-server"), "--data-dir", self.product.path("s"), "--http", "none", *flags],
                                  capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("--tls-cert", server("--listen", "0.0.0.0:0").stderr)
        half = server("--tls-cert", self.authority.file("server.pem"))
        self.assertEqual(half.returncode, 2)
        self.assertIn("--tls-key", half.stderr)
        self.authority.make("user", "bob", "viewer")
        flags = self.authority.server_flags()
        flags[3] = self.authority.file("user-bob.key")
        self.assertIn("does not belong", server("--listen", "0.0.0.0:0", *flags).stderr)
        flags[3] = "/no/such.key"
        self.assertIn("path=/no/such.key", server("--listen", "0.0.0.0:0", *flags).stderr)

        self.assert_refused(self.product.distill("job", "list", server="control.invalid:7700"), INVALID, "--tls-ca")
        run = subprocess.run([program("distill-worker"), "--server", "control.invalid:7700", "--data-dir", self.product.path("w")],
                             capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("--tls-ca", run.stderr)
        run = subprocess.run([program("distill-worker"), "--server", "control.invalid:7700", "--data-dir", self.product.path("w"),
                              *self.authority.client_flags("user-bob")], capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("it names no worker", run.stderr)
        self.authority.make("worker", "gpu-01")
        run = subprocess.run([program("distill-worker"), "--server", "control.invalid:7700", "--data-dir", self.product.path("w"),
                              "--worker-id", "gpu-02", *self.authority.client_flags("worker-gpu-01")], capture_output=True, text=True, timeout=60,
                             check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("want gpu-01 or gpu-01.anything", run.stderr)

    def test_strangers_get_nothing(self):
        self.product.start_server(*self.authority.server_flags())
        self.authority.make("user", "old", "admin")
        ca = ["--tls-ca", self.authority.file("ca.pem")]
        nobody = self.product.distill("job", "list", *ca)
        self.assertEqual(nobody.returncode, NOT_ALLOWED, nobody.stderr)
        self.assertIn("--token-file", nobody.stderr)
        # Plaintext to a server that speaks TLS.
        self.assertEqual(self.product.distill("job", "list").returncode, UNREACHABLE)
        # Of another authority, with the name of an administrator of ours.
        other = Authority(self.product.path("other-ca"))
        other.make("user", "old", "admin")
        forged = self.product.distill("job", "list", *ca, "--tls-cert", other.file("user-old.pem"), "--tls-key",
                                      other.file("user-old.key"))
        self.assertEqual(forged.returncode, UNREACHABLE, forged.stderr)
        self.assertEqual(self.as_user("old", "job", "list").returncode, OK)


if __name__ == "__main__":
    unittest.main()
