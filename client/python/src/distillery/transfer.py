"""Blobs between here and the server: resumed where a connection broke, and trusted only when their digest is right."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from typing import IO, Any, BinaryIO, Callable, Iterator, Tuple

import grpc

from distillery.connection import Connection, PathLike, Stubs, Tries
from distillery.errors import DataCorrupt, InvalidRequest, NotFound, from_rpc_error
from distillery.v1 import artifact_service_pb2 as pb
from distillery.v1.artifact_service_pb2_grpc import ArtifactServiceStub

try:
    import fcntl
except ImportError:  # Not a POSIX system: downloads are not kept apart.
    fcntl = None  # type: ignore[assignment]

_CHUNK_BYTES = 512 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

OnBytes = Callable[[int], None]


def check_digest(digest: str) -> str:
    """Returns `digest` if it is one. Raises InvalidRequest otherwise."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidRequest(f"cannot use digest: expected sha256: and 64 hex digits; got={digest}")
    return digest


def digest_of_file(path: PathLike) -> str:
    """Returns the digest of a file's bytes, "sha256:hex"."""
    with open(path, "rb") as file:
        return f"sha256:{_hash_rest(file, hashlib.sha256()).hexdigest()}"


def _hash_rest(file: IO[bytes], into: Any) -> Any:
    while True:
        chunk = file.read(1 << 20)
        if not chunk:
            return into
        into.update(chunk)


class Transfer:
    """Downloads and uploads over one connection. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._artifacts = Stubs(connection, ArtifactServiceStub)

    def read(self, digest: str) -> bytearray:
        """Returns a blob's bytes. Raises DataCorrupt when they are not those of the digest."""
        data = bytearray()
        got = hashlib.sha256()

        def take(chunk: bytes) -> None:
            data.extend(chunk)
            got.update(chunk)

        self._stream(check_digest(digest), 0, take)
        if "sha256:" + got.hexdigest() != digest:
            raise self._corrupt(digest, got.hexdigest())
        return data

    def download(self, digest: str, path: PathLike, on_bytes: OnBytes) -> None:
        """Puts a blob at `path`, which appears only when it is complete and verified, or is left alone if it is the
        blob already. What an earlier call left unfinished beside it is gone on with."""
        check_digest(digest)
        target = os.fspath(path)
        partial = f"{target}.{digest[7:19]}.partial"
        with _locked(partial) as file:
            if os.path.isfile(target) and digest_of_file(target) == digest:
                os.remove(partial)
                return
            resumed_from, got = self._fill(digest, file, on_bytes)
            if got != digest and resumed_from > 0:
                # The bytes of before may be to blame.
                file.seek(0)
                file.truncate()
                _, got = self._fill(digest, file, on_bytes)
            if got != digest:
                os.remove(partial)
                raise self._corrupt(digest, got[7:])
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, target)

    def _fill(self, digest: str, file: BinaryIO, on_bytes: OnBytes) -> Tuple[int, str]:
        """Appends what is missing. Returns where it began, and the digest of all."""
        file.seek(0)
        got = _hash_rest(file, hashlib.sha256())
        begin = file.tell()
        on_bytes(begin)

        def take(chunk: bytes) -> None:
            file.write(chunk)
            got.update(chunk)
            on_bytes(file.tell())

        try:
            self._stream(digest, begin, take)
        except InvalidRequest as error:
            if begin == 0 or error.code != "OUT_OF_RANGE":
                raise
            # The unfinished file is longer than the blob, so it is none of it.
        except NotFound:
            if file.tell() == 0:
                os.remove(file.name)
            raise
        return begin, "sha256:" + got.hexdigest()

    def _stream(self, digest: str, offset: int, take: Callable[[bytes], None]) -> None:
        """Hands the bytes from `offset` on to `take`, across lost connections."""
        at = offset

        def attempt(tries: Tries) -> None:
            nonlocal at
            stream = self._artifacts.current.Download(
                pb.DownloadRequest(digest=digest, offset=at, caller_verifies=True))
            try:
                for chunk in stream:
                    if chunk.offset != at:
                        raise DataCorrupt(f"cannot download artifact: the server skipped bytes; want_offset={at} "
                                          f"got_offset={chunk.offset}", code="DATA_LOSS")
                    take(chunk.data)
                    at += len(chunk.data)
                    tries.advance()
            finally:
                stream.cancel()

        self._connection.repeat("download artifact", attempt)

    def _corrupt(self, digest: str, got_hex: str) -> DataCorrupt:
        """The error for bytes that are not the digest's; lets the server look too, and set the blob aside if it is corrupt."""
        try:
            for _ in self._artifacts.current.Download(pb.DownloadRequest(digest=digest)):
                pass
        except (grpc.RpcError, ValueError):
            pass  # Whatever it says, the caller has its answer.
        return DataCorrupt(f"cannot download artifact: its content does not match; want={digest} got=sha256:{got_hex}",
                           code="DATA_LOSS", resource=("artifact", digest))

    def upload(self, path: PathLike, kind: int, project: str) -> str:
        """Uploads a file for a project, unless the server has it from it; durable when it returns. Returns the digest."""
        digest = digest_of_file(path)
        first = pb.UploadRequest(upload_id=uuid.uuid4().hex, digest=digest, size_bytes=os.path.getsize(path),
                                 project=project, type=kind)  # type: ignore[arg-type]
        self._connection.repeat("upload " + os.fspath(path), lambda tries: self._upload_once(path, first, tries))
        return digest

    def _upload_once(self, path: PathLike, first: pb.UploadRequest, tries: Tries) -> None:
        offset = 0
        try:
            standing = self._connection.call(
                "query upload", lambda: self._artifacts.current.QueryUpload,
                pb.QueryUploadRequest(upload_id=first.upload_id, digest=first.digest))
            if standing.complete:
                return
            offset = standing.committed_bytes
            tries.advance()
        except NotFound:
            pass
        try:
            self._artifacts.current.Upload(_upload_messages(path, first, offset))
        except grpc.RpcError as error:
            if from_rpc_error(error, "upload", self._connection.server).code != "OUT_OF_RANGE":
                raise
            # A try that was thought lost got further: ask again where the upload stands.
            tries.ended("the upload stands elsewhere by now")
            self._upload_once(path, first, tries)


def _upload_messages(path: PathLike, first: pb.UploadRequest, offset: int) -> Iterator[pb.UploadRequest]:
    request = pb.UploadRequest()
    request.CopyFrom(first)
    with open(path, "rb") as file:
        file.seek(offset)
        while True:
            request.offset = file.tell()
            request.data = file.read(_CHUNK_BYTES)
            yield request
            if file.tell() >= first.size_bytes or not request.data:
                return
            request = pb.UploadRequest()


@contextlib.contextmanager
def _locked(path: str) -> Iterator[BinaryIO]:
    """Opens a file that two processes must not write at a time; waits for the other, whose result is then there."""
    while True:
        with open(path, "a+b") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                same = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
            except FileNotFoundError:
                same = False  # The other one finished and took it away.
            if same:
                yield file
                return
