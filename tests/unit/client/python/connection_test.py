"""Calls that are made again, servers that stand by for each other, errors with details, secrets that stay here."""

import doctest
import os
import stat
import subprocess
import tempfile
import threading
import unittest
from unittest import mock

import grpc

from distillery import Client, Tls, connection, describe, errors
from distillery import client as client_module
from distillery.rpc import error_details_pb2
from distillery.v1 import job_pb2, job_service_pb2
from fake_server import HASTY, abort, reason, serve


class Jobs:
    """Answers GetJob and CreateJob after `failures` calls that fail as `fail` says."""

    def __init__(self, failures=0, fail=None):
        self.failures = failures
        self.fail = fail or (lambda context: abort(context, grpc.StatusCode.UNAVAILABLE, "stopping"))
        self.requests = []
        self.metadata = {}

    def _answer(self, request, context):
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        if len(self.requests) <= self.failures:
            self.fail(context)
        return job_pb2.Job(id="j1", state=job_pb2.JOB_STATE_RUNNING)

    def GetJob(self, request, context):  # pylint: disable=invalid-name
        return self._answer(request, context)

    def CreateJob(self, request, context):  # pylint: disable=invalid-name
        return self._answer(request, context)


class RetryTest(unittest.TestCase):
    def test_a_change_is_repeated_with_the_same_request(self):
        jobs = Jobs(failures=3)
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            client.submit({"dataset": {"path": "/data"}})
        self.assertEqual(len(jobs.requests), 4)
        self.assertEqual({r.request_id for r in jobs.requests}, {jobs.requests[0].request_id})

    def test_an_error_for_good_is_not_repeated(self):
        jobs = Jobs(failures=1, fail=lambda c: abort(c, grpc.StatusCode.NOT_FOUND, "cannot find job: no such job; job=j1",
                                                     reason("RESOURCE_NOT_FOUND", job="j1")))
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            with self.assertRaises(errors.NotFound) as raised:
                client.job("j1")
        self.assertEqual(len(jobs.requests), 1)
        self.assertEqual(raised.exception.metadata, {"job": "j1"})

    def test_full_for_now_is_repeated_and_full_for_good_is_not(self):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.nanos = 1_000_000
        jobs = Jobs(failures=1, fail=lambda c: abort(c, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry))
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            self.assertEqual(client.job("j1").id, "j1")
        quota = error_details_pb2.QuotaFailure()
        quota.violations.add(subject="project:vision", description="max_submits_per_hour is 3")
        jobs = Jobs(failures=1, fail=lambda c: abort(c, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", quota))
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            with self.assertRaises(errors.LimitReached) as raised:
                client.job("j1")
        self.assertEqual(raised.exception.quotas[0].subject, "project:vision")
        self.assertIn("max_submits_per_hour is 3", str(raised.exception))

    def test_patience_ends_with_the_last_error(self):
        jobs = Jobs(failures=10**9)
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            with self.assertRaisesRegex(errors.ServerUnavailable, "cannot get job: stopping; server="):
                client.job("j1")
        self.assertGreater(len(jobs.requests), 2)

    def test_a_server_that_is_older(self):
        with serve(Jobs()) as address, Client(address, patience=HASTY) as client:
            self.assertRaises(errors.NotSupported, client.plan, {"dataset": {"path": "/data"}})

    def test_nobody_there(self):
        with Client("127.0.0.1:1", patience=HASTY) as client:
            with self.assertRaises(errors.ServerUnavailable) as raised:
                client.submit({"dataset": {"path": "/data"}})
        self.assertIn("is the server running", raised.exception.hint)

    def test_the_next_of_several_servers_is_asked(self):
        standby, leader = Jobs(failures=10**9), Jobs()
        with serve(standby) as first, serve(leader) as second:
            with Client([first, second], patience=HASTY) as client:
                client.job("j1")
                client.job("j1")
        self.assertEqual((len(standby.requests), len(leader.requests)), (1, 2))

    def test_closing_ends_calls_of_other_threads(self):
        asked = threading.Event()

        def hold(context):
            asked.set()
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

        raised = []

        def ask(client):
            try:
                client.job("j1")
            except errors.DistilleryError as error:
                raised.append(type(error))

        with serve(Jobs(failures=10**9, fail=hold)) as address:
            client = Client(address, patience=connection.Patience(first_backoff=60, longest_backoff=60, retry=600))
            thread = threading.Thread(target=ask, args=(client,))
            thread.start()
            asked.wait()
            client.close()
            thread.join()
        self.assertEqual(raised, [errors.Cancelled])
        with self.assertRaises(errors.Cancelled):
            client.job("j1")


class ErrorTest(unittest.TestCase):
    def test_every_detail_arrives(self):
        fields = error_details_pb2.BadRequest()
        fields.field_violations.add(field="spec.modules", description="must be 1 to 10000; got=0")
        missing = error_details_pb2.PreconditionFailure()
        missing.violations.add(type="BLOB_MISSING", subject="sha256:00", description="upload it")
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.seconds = 2
        retry.retry_delay.nanos = 500_000_000
        resource = error_details_pb2.ResourceInfo(resource_type="job", resource_name="j1")
        fail = lambda c: abort(c, grpc.StatusCode.FAILED_PRECONDITION, "no", reason("WRONG_STATE", job="j1"), fields,
                               missing, retry, resource)
        with serve(Jobs(1, fail)) as address, Client(address, patience=HASTY) as client:
            with self.assertRaises(errors.WrongState) as raised:
                client.job("j1")
        error = raised.exception
        self.assertEqual((error.code, error.reason, error.metadata), ("FAILED_PRECONDITION", "WRONG_STATE", {"job": "j1"}))
        self.assertEqual(error.hint, "read the resource again; the message says what state it is in")
        self.assertEqual(error.fields, (errors.Violation("spec.modules", "must be 1 to 10000; got=0"),))
        self.assertEqual(error.preconditions, (errors.Violation("sha256:00", "upload it", "BLOB_MISSING"),))
        self.assertEqual((error.retry_delay, error.resource), (2.5, ("job", "j1")))
        self.assertIn("spec.modules: must be 1 to 10000", str(error))

    def test_details_that_nobody_understands_are_left_out(self):
        def fail(context):
            context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
            context.abort(grpc.StatusCode.INTERNAL, "broken")

        with serve(Jobs(1, fail)) as address, Client(address, patience=HASTY) as client:
            with self.assertRaises(errors.ServerFault) as raised:
                client.job("j1")
        self.assertEqual((raised.exception.reason, raised.exception.hint), ("", ""))

    def test_a_new_reason_is_handed_on(self):
        fail = lambda c: abort(c, grpc.StatusCode.ABORTED, "no", reason("OF_THE_FUTURE"))
        with serve(Jobs(1, fail)) as address, Client(address, patience=HASTY) as client:
            with self.assertRaises(errors.Conflict) as raised:
                client.job("j1")
        self.assertEqual((raised.exception.reason, raised.exception.hint), ("OF_THE_FUTURE", ""))


class Watched(Jobs):
    """A job whose watch breaks after every second event, and repeats what it sent last."""

    def __init__(self, events):
        super().__init__()
        self.events = events
        self.watches = []

    def WatchJob(self, request, context):  # pylint: disable=invalid-name
        self.watches.append(request.after_revision)
        rest = [e for e in self.events if e.revision >= request.after_revision]
        for event in rest[:3]:
            yield event
        if len(rest) > 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")


def _events(count):
    running = [job_service_pb2.JobEvent(revision=i, job=job_pb2.Job(id="j1", revision=i, state=job_pb2.JOB_STATE_RUNNING))
               for i in range(1, count)]
    return [*running, job_service_pb2.JobEvent(revision=count, job=job_pb2.Job(id="j1", revision=count,
                                                                              state=job_pb2.JOB_STATE_SUCCEEDED))]


class WatchTest(unittest.TestCase):
    def test_each_change_once_across_broken_connections(self):
        jobs = Watched(_events(9))
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            self.assertEqual([e.revision for e in client.watch("j1")], list(range(1, 10)))
            self.assertEqual([e.revision for e in client.watch("j1", after_revision=7)], [8, 9])
        self.assertGreater(len(jobs.watches), 3)

    def test_leaving_early_ends_the_stream(self):
        jobs = Watched(_events(3))
        with serve(jobs) as address, Client(address, patience=HASTY) as client:
            for event in client.watch("j1"):
                break
            self.assertEqual(event.revision, 1)

    def test_wait_gives_up_in_time_and_raises_what_the_job_came_to(self):
        class Silent(Jobs):
            def WatchJob(self, request, context):  # pylint: disable=invalid-name
                context.add_callback(ended.set)
                ended.wait()
                return
                yield

        ended = threading.Event()
        with serve(Silent()) as address, Client(address, patience=HASTY) as client:
            with self.assertRaises(errors.WaitTimeout) as raised:
                client.wait("j1", timeout=0.05)
            self.assertIsInstance(raised.exception, TimeoutError)
            self.assertEqual(raised.exception.job.id, "j1")

        failed = _events(2)
        failed[-1].job.state = job_pb2.JOB_STATE_FAILED
        failed[-1].job.failure_message = "task evaluate-student: no data"
        with serve(Watched(failed)) as address, Client(address, patience=HASTY) as client:
            seen = []
            with self.assertRaisesRegex(errors.JobFailed, "job j1 failed: task evaluate-student: no data"):
                client.wait("j1", progress=seen.append)
            self.assertEqual(len(seen), 2)
            self.assertEqual(client.wait("j1", check=False).state, job_pb2.JOB_STATE_FAILED)


class FollowLogTest(unittest.TestCase):
    def test_goes_on_where_a_connection_broke(self):
        class Logs:
            def ReadLog(self, request, context):  # pylint: disable=invalid-name
                asked.append((request.offset, request.attempt))
                yield job_service_pb2.ReadLogResponse(offset=request.offset, data=text[request.offset:][:4], attempt=2)
                if request.offset + 4 < len(text):
                    context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")

        asked, text = [], b"line 1\nline 2\n"
        with serve(tasks=Logs()) as address, Client(address, patience=HASTY) as client:
            self.assertEqual(b"".join(client.follow_log("j1", "t")), text)
        self.assertEqual(asked, [(0, 0), (4, 2), (8, 2), (12, 2)])


class DescribeTest(unittest.TestCase):
    def test_one_line_for_each_kind_of_event(self):
        event = job_service_pb2.JobEvent()
        event.task.id, event.task.state, event.task.waiting_reason = "t", 2, "no free slot"
        self.assertEqual(describe(event), "t: queued: no free slot")
        event.progress.task = "t"
        event.progress.progress.loss = float("nan")
        self.assertEqual(describe(event), "t: running")
        now = event.progress.progress
        now.phase, now.step, now.total_steps, now.loss, now.eta_seconds = "training", 30, 120, 1.23456, 12.4
        self.assertEqual(describe(event), "t: training, step 30 of 120, loss 1.235, 12 s left")
        event.job.id, event.job.state, event.job.failure_message = "j", job_pb2.JOB_STATE_FAILED, "no data"
        self.assertEqual(describe(event), "job j: failed, 0 of 0 tasks done: no data")


class TlsTest(unittest.TestCase):
    """A server that proves to be "control.lab" by an authority of its own."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        for name in ("ours", "theirs"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-keyout", cls.path(name + ".key"), "-out", cls.path(name + ".pem"), "-days", "1", "-subj",
                            "/CN=control.lab", "-addext", "subjectAltName=DNS:control.lab"], check=True, capture_output=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def ask(self, jobs, tls, **options):
        """One call to a server over TLS."""
        pair = (self.read("ours.key"), self.read("ours.pem"))
        credentials = grpc.ssl_server_credentials([pair], self.read("ours.pem"), require_client_auth=bool(tls.certificate))
        with serve(jobs, credentials=credentials) as address, Client(address, tls=tls, patience=HASTY, **options) as client:
            return client.job("j1").id

    def test_a_token_goes_over_tls(self):
        jobs = Jobs()
        self.assertEqual(self.ask(jobs, Tls(self.path("ours.pem"), server_name="control.lab"), token="distill_1_ab"), "j1")
        self.assertEqual(jobs.metadata["authorization"], "Bearer distill_1_ab")

    def test_a_certificate_of_the_caller(self):
        tls = Tls(self.path("ours.pem"), self.path("ours.pem"), self.path("ours.key"), "control.lab")
        self.assertEqual(self.ask(Jobs(), tls), "j1")

    def test_a_server_that_proves_nothing_gets_nothing(self):
        for wrong in (Tls(self.path("theirs.pem"), server_name="control.lab"), Tls(self.path("ours.pem")), Tls()):
            jobs = Jobs()
            self.assertRaises(errors.ServerUnavailable, self.ask, jobs, wrong, token="distill_1_ab")
            self.assertEqual(jobs.requests, [])

    def test_the_environment(self):
        jobs = Jobs()
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("distill_2_cd\n")
        os.chmod(self.path("token"), 0o600)
        variables = {"DISTILL_TLS_CA": self.path("ours.pem"), "DISTILL_TLS_SERVER_NAME": "control.lab",
                     "DISTILL_TOKEN_FILE": self.path("token")}
        credentials = grpc.ssl_server_credentials([(self.read("ours.key"), self.read("ours.pem"))])
        with serve(jobs, credentials=credentials) as address:
            with mock.patch.dict(os.environ, {**variables, "DISTILL_SERVER": address}), Client(patience=HASTY) as client:
                client.job("j1")
        self.assertEqual(jobs.metadata["authorization"], "Bearer distill_2_cd")

    def test_what_cannot_be_read(self):
        self.assertRaises(FileNotFoundError, Client, "localhost:1", tls=Tls(self.path("nosuch.pem")))


class SecretsTest(unittest.TestCase):
    def test_a_token_is_not_sent_unencrypted(self):
        with self.assertRaisesRegex(ValueError, "sent over TLS only"):
            Client("localhost:1", token="distill_0_secret")

    def test_no_plaintext_beyond_this_machine_unless_allowed(self):
        with self.assertRaisesRegex(ValueError, "nothing says how to encrypt"):
            Client("control.lab:7700")
        Client("control.lab:7700", allow_plaintext=True).close()
        Client("localhost:7700,[::1]:7700").close()

    def test_a_certificate_needs_its_key(self):
        with self.assertRaisesRegex(ValueError, "needs its key"):
            Client("localhost:1", tls=Tls(certificate="user.pem"))

    def test_token_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token")
            for text, sound in (("distill_1_ab\n", True), ("", False), ("\nlater", False), ("a b", False)):
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
                os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
                if sound:
                    self.assertEqual(connection.read_token(path), "distill_1_ab")
                else:
                    self.assertRaisesRegex(ValueError, "cannot use token", connection.read_token, path)
            os.chmod(path, 0o644)
            self.assertRaisesRegex(ValueError, "chmod 600", connection.read_token, path)

    def test_no_server_is_known(self):
        with tempfile.TemporaryDirectory() as folder:
            with mock.patch.dict(os.environ, {"DISTILL_SERVER": "", "DISTILL_DATA_DIR": folder}):
                self.assertRaisesRegex(ValueError, "cannot find a server", Client)
                with open(os.path.join(folder, "addresses"), "w", encoding="ascii") as file:
                    file.write("grpc=127.0.0.1:7\nhttp=127.0.0.1:8\n")
                self.assertEqual(Client().server, "127.0.0.1:7")

    def test_addresses(self):
        self.assertRaisesRegex(ValueError, "no address", Client, " , ")
        self.assertEqual(Client("localhost:1, localhost:2").server, "localhost:1,localhost:2")

    def test_examples_in_the_documentation(self):
        for module in (connection, client_module):
            self.assertEqual(doctest.testmod(module).failed, 0)


if __name__ == "__main__":
    unittest.main()
