"""Downloads that break off, go on, or bring other bytes than were asked for."""

import hashlib
import os
import tempfile
import threading
import unittest

import grpc

from distillery import Client, errors
from distillery.v1 import artifact_service_pb2 as pb
from fake_server import HASTY, abort, serve

_CONTENT = bytes(range(256)) * 40
_DIGEST = "sha256:" + hashlib.sha256(_CONTENT).hexdigest()
_CHUNK = 1000


class Artifacts:
    """One blob, `chunks` chunks of it at a time. `tell` sees every request, and may change what is sent."""

    def __init__(self, content=_CONTENT, chunks=10**9):
        self.content = content
        self.chunks = chunks
        self.requests = []

    def Download(self, request, context):  # pylint: disable=invalid-name
        self.requests.append(request)
        if request.offset > len(self.content):
            abort(context, grpc.StatusCode.OUT_OF_RANGE, "beyond the end")
        end = min(len(self.content), request.offset + self.chunks * _CHUNK)
        for at in range(request.offset, end, _CHUNK):
            yield pb.DownloadResponse(offset=at, data=self.content[at:min(at + _CHUNK, end)])
        if end < len(self.content):
            abort(context, grpc.StatusCode.UNAVAILABLE, "stopping")


class DownloadTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "blob")
        self.partial = f"{self.path}.{_DIGEST[7:19]}.partial"

    def _download(self, artifacts, progress=None):
        with serve(artifacts=artifacts) as address, Client(address, patience=HASTY) as client:
            client.download(_DIGEST, self.path, progress)

    def _content(self):
        with open(self.path, "rb") as file:
            return file.read()

    def _leave_partial(self, content):
        with open(self.partial, "wb") as file:
            file.write(content)

    def test_goes_on_where_a_connection_broke(self):
        artifacts, told = Artifacts(chunks=3), []
        self._download(artifacts, told.append)
        self.assertEqual([r.offset for r in artifacts.requests], [0, 3000, 6000, 9000])
        self.assertEqual(self._content(), _CONTENT)
        self.assertEqual((told[0], told[-1]), (0, len(_CONTENT)))
        self.assertEqual(os.listdir(self.folder), ["blob"])

    def test_goes_on_with_what_another_process_left(self):
        self._leave_partial(_CONTENT[:4000])
        artifacts = Artifacts()
        self._download(artifacts)
        self.assertEqual([r.offset for r in artifacts.requests], [4000])
        self.assertEqual(self._content(), _CONTENT)

    def test_begins_anew_when_what_was_left_is_something_else(self):
        for left in (b"x" * 4000, b"x" * 20000, _CONTENT + b"x"):
            with self.subTest(size=len(left)):
                self._leave_partial(left)
                self._download(Artifacts())
                self.assertEqual(self._content(), _CONTENT)
                os.remove(self.path)

    def test_what_is_there_is_not_fetched_again(self):
        self._download(Artifacts())
        artifacts = Artifacts()
        self._download(artifacts)
        self.assertEqual(artifacts.requests, [])
        self.assertEqual(os.listdir(self.folder), ["blob"])

    def test_other_bytes_are_refused_and_shown_to_the_server(self):
        artifacts = Artifacts(content=_CONTENT[:-1] + b"?")
        with self.assertRaisesRegex(errors.DataCorrupt, "its content does not match; want=" + _DIGEST):
            self._download(artifacts)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual([r.caller_verifies for r in artifacts.requests], [True, False])
        with serve(artifacts=artifacts) as address, Client(address, patience=HASTY) as client:
            self.assertRaises(errors.DataCorrupt, client.read, _DIGEST)

    def test_skipped_bytes_are_refused(self):
        class Skipping:
            def Download(self, request, context):  # pylint: disable=invalid-name
                del request, context
                yield pb.DownloadResponse(offset=7, data=b"x")

        self.assertRaisesRegex(errors.DataCorrupt, "skipped bytes", self._download, Skipping())

    def test_an_end_for_good_keeps_what_came(self):
        class Failing(Artifacts):
            def Download(self, request, context):  # pylint: disable=invalid-name
                yield pb.DownloadResponse(offset=0, data=_CONTENT[:_CHUNK])
                abort(context, grpc.StatusCode.PERMISSION_DENIED, "no longer")

        self.assertRaises(errors.NotPermitted, self._download, Failing())
        self.assertFalse(os.path.exists(self.path))
        self._download(Artifacts())
        self.assertEqual(self._content(), _CONTENT)

    def test_two_at_a_time_fetch_once(self):
        artifacts = Artifacts()
        with serve(artifacts=artifacts) as address, Client(address, patience=HASTY) as client:
            threads = [threading.Thread(target=client.download, args=(_DIGEST, self.path)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(artifacts.requests), 1)
        self.assertEqual(os.listdir(self.folder), ["blob"])

    def test_no_digest(self):
        with Client("127.0.0.1:1", patience=HASTY) as client:
            for text in ("", "sha256:", "md5:" + "0" * 64, _DIGEST + "0"):
                self.assertRaisesRegex(errors.InvalidRequest, "64 hex digits", client.read, text)


class Uploads(Artifacts):
    """Keeps what is sent; the first call breaks after `first` messages, which `stale` queries do not know of."""

    def __init__(self, first, stale=0):
        super().__init__()
        self.first = first
        self.stale = stale
        self.kept = b""
        self.calls = 0

    def QueryUpload(self, request, context):  # pylint: disable=invalid-name
        if self.calls == 0:
            abort(context, grpc.StatusCode.NOT_FOUND, "no such upload")
        if self.stale > 0:
            self.stale -= 1
            return pb.QueryUploadResponse()
        return pb.QueryUploadResponse(committed_bytes=len(self.kept))

    def Upload(self, requests, context):  # pylint: disable=invalid-name
        self.calls += 1
        for i, request in enumerate(requests):
            if self.calls == 1 and i == self.first:
                abort(context, grpc.StatusCode.UNAVAILABLE, "stopping")
            if request.offset != len(self.kept):
                abort(context, grpc.StatusCode.OUT_OF_RANGE, "not where the server stands")
            self.kept += request.data
        return pb.UploadResponse(digest=_DIGEST)


class UploadTest(unittest.TestCase):
    def test_goes_on_where_the_server_stands(self):
        content = os.urandom(3 * 512 * 1024 + 5)
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            artifacts = Uploads(first=2)
            with serve(artifacts=artifacts) as address, Client(address, patience=HASTY) as client:
                digest = client.upload(file.name)
        self.assertEqual(artifacts.kept, content)
        self.assertEqual((artifacts.calls, digest), (2, "sha256:" + hashlib.sha256(content).hexdigest()))

    def test_goes_on_when_a_broken_try_got_further_than_it_seemed(self):
        content = os.urandom(3 * 512 * 1024 + 5)
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            artifacts = Uploads(first=2, stale=1)
            with serve(artifacts=artifacts) as address, Client(address, patience=HASTY) as client:
                client.upload(file.name)
        self.assertEqual((artifacts.kept, artifacts.calls), (content, 3))

    def test_an_empty_file(self):
        artifacts = Uploads(first=10)
        with tempfile.NamedTemporaryFile() as file, serve(artifacts=artifacts) as address:
            with Client(address, patience=HASTY) as client:
                client.upload(file.name)
        self.assertEqual(artifacts.calls, 1)


if __name__ == "__main__":
    unittest.main()
