"""The Python client and a server that asks everybody who they are: TLS, certificates, tokens, roles."""

import os
import subprocess
import sys
import unittest

from authority import Authority
from product import SOURCE_DIR, TINY_JOB, ProductTest, program, write_idx_dataset

sys.path.insert(0, os.path.join(SOURCE_DIR, "client", "python", "src"))

from distillery import Client, Patience, Tls, errors
from distillery.v1 import auth_service_pb2
from distillery.v1.auth_service_pb2_grpc import AuthServiceStub


class PythonSecurityTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.product.path("ca"))
        self.authority.make("user", "alice", "admin")
        token = self.product.path("admin.token")
        subprocess.run([program("distill-server"), "--data-dir", self.product.path("server"), "--issue-admin-token", token],
                       check=True, capture_output=True)
        self.tls = Tls(ca=self.authority.file("ca.pem"))
        data = write_idx_dataset(self.product.path("data"))
        self.job_file = self.product.write("job.yaml", TINY_JOB % data)
        self.product.start_server(*self.authority.server_flags(), "--dataset-root", self.product.dir)
        self.admin = self.connect(token_file=token)

    def connect(self, **options):
        client = Client(self.product.server.grpc, patience=Patience(retry=2), **{"tls": self.tls, **options})
        self.addCleanup(client.close)
        return client

    def token(self, role, project):
        answer = AuthServiceStub(self.admin.channel()).CreateToken(
            auth_service_pb2.CreateTokenRequest(role=role, project=project, request_id=f"{project}-{role}"), timeout=20)
        return answer.text

    def test_roles(self):
        self.assertEqual([(g.project, g.role) for g in self.admin.whoami().grants], [("*", auth_service_pb2.ROLE_ADMIN)])
        editor = self.connect(token=self.token(auth_service_pb2.ROLE_EDITOR, "vision"), project="vision")
        viewer = self.connect(token=self.token(auth_service_pb2.ROLE_VIEWER, "vision"), project="vision")
        stranger = self.connect(token=self.token(auth_service_pb2.ROLE_ADMIN, "audio"), project="audio")
        job = editor.submit(self.job_file, {"project": "vision"})
        self.assertEqual([j.id for j in viewer.jobs()], [job.id])
        self.assertEqual(viewer.job(job).id, job.id)
        with self.assertRaises(errors.NotPermitted) as raised:
            viewer.cancel(job)
        self.assertEqual(raised.exception.reason, "PERMISSION_DENIED")
        self.assertTrue(raised.exception.hint)
        self.assertRaises(errors.NotFound, stranger.job, job)
        path = self.product.write("note", "for vision")
        digest = editor.upload(path)
        self.assertEqual(viewer.read(digest), b"for vision")
        self.assertRaises(errors.NotFound, stranger.read, digest)

    def test_who_is_nobody(self):
        for options in ({}, {"token": "distill_0000000000000000_" + "0" * 64}, {"token": "nonsense"}):
            with self.assertRaises(errors.NotAuthenticated) as raised:
                self.connect(**options).jobs()
            self.assertEqual(raised.exception.reason, "CREDENTIALS_INVALID")
            self.assertTrue(raised.exception.hint)

    def test_a_certificate(self):
        tls = Tls(self.authority.file("ca.pem"), self.authority.file("user-alice.pem"), self.authority.file("user-alice.key"))
        self.assertEqual(self.connect(tls=tls).whoami().caller, "user/alice")

    def test_another_authority_and_plaintext(self):
        other = Tls(Authority(self.product.path("other")).file("ca.pem"))
        self.assertRaises(errors.ServerUnavailable, self.connect(tls=other, token="distill_1_2").jobs)
        self.assertRaises(errors.ServerUnavailable, self.connect(tls=None).jobs)


if __name__ == "__main__":
    unittest.main()
