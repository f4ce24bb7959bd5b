"""The way to a server, or to several that stand by for each other: channels, patience, and which server is asked.

A call that fails because no server answers, or because one is full for the moment, is made again with the very same
request, so that a change happens once (its request id is chosen before the first try). With several addresses the
next one is asked at once, and patience lasts over a change of the leader.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import random
import threading
import time
from typing import Callable, Generic, List, Optional, Sequence, Tuple, TypeVar, Union

import grpc

from distillery import errors
from distillery.stubs import UnaryUnary

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Stub = TypeVar("_Stub")
_Result = TypeVar("_Result")

_MAX_MESSAGE_BYTES = 64 << 20
_MAX_TOKEN_BYTES = 4096
# Silence of one server is no reason to wait for it when another may lead by now.
_LONGEST_TRY_OF_SEVERAL = 5.0
_LONGEST_BACKOFF_OF_SEVERAL = 1.0
_LEAST_PATIENCE_WITH_SEVERAL = 30.0

PathLike = Union[str, "os.PathLike[str]"]


@dataclasses.dataclass(frozen=True)
class Tls:
    """How the server proves who it is, and the caller too if it has a certificate.

    ca           file with the certificate of the authority that the server's comes from; None: those this machine trusts
    certificate  file with the caller's own certificate, if any, and `key`, the file with its key
    server_name  the name in the server's certificate, when it differs from the address

    >>> Tls(ca="ca.pem").server_name
    ''
    """

    ca: Optional[PathLike] = None
    certificate: Optional[PathLike] = None
    key: Optional[PathLike] = None
    server_name: str = ""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    call       longest single try of a call that does not stream
    retry      how long a call is tried again before its error is raised
    reconnect  the same for a watch or transfer that has worked before, counted from its last message
    """

    call: float = 20.0
    retry: float = 10.0
    reconnect: float = 600.0
    first_backoff: float = 0.1
    longest_backoff: float = 3.0


class _Backoff:
    """Doubling, bounded, and jittered, so that a crowd of clients does not return in step."""

    def __init__(self, patience: Patience) -> None:
        self._first, self._most = patience.first_backoff, patience.longest_backoff
        self._next = self._first

    def next(self) -> float:
        delay = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, self._most)
        return delay

    def reset(self) -> None:
        self._next = self._first


class Stubs(Generic[_Stub]):
    """The stubs of one service, one for each server."""

    def __init__(self, connection: Connection, kind: Callable[[grpc.Channel], _Stub]) -> None:
        self._connection = connection
        self._stubs = [kind(channel) for channel in connection.channels]

    @property
    def current(self) -> _Stub:
        """Of the server that is asked just now; look anew for each try."""
        return self._stubs[self._connection.current]


class Connection:
    """Thread-safe. Close it when done."""

    def __init__(self, addresses: Sequence[str], credentials: Optional[grpc.ChannelCredentials], server_name: str,
                 patience: Patience) -> None:
        self.addresses = list(addresses)
        self.patience = patience
        if len(self.addresses) > 1:
            self.patience = dataclasses.replace(
                patience, call=min(patience.call, _LONGEST_TRY_OF_SEVERAL),
                longest_backoff=min(patience.longest_backoff, _LONGEST_BACKOFF_OF_SEVERAL),
                retry=max(patience.retry, _LEAST_PATIENCE_WITH_SEVERAL))
        self.channels = [_open(a, credentials, server_name, len(self.addresses) > 1) for a in self.addresses]
        self._lock = threading.Lock()
        self._current = 0
        self._closed = threading.Event()

    @property
    def current(self) -> int:
        """Index of the server that is asked just now."""
        with self._lock:
            return self._current

    @property
    def server(self) -> str:
        return ",".join(self.addresses)

    def close(self) -> None:
        """Ends open calls, also those of other threads, with `Cancelled`. May be repeated."""
        self._closed.set()
        for channel in self.channels:
            channel.close()

    def call(self, action: str, method: Callable[[], UnaryUnary[_Request, _Response]],
             request: _Request) -> _Response:
        """Makes one call that does not stream. `method` looks up the stub's method, anew for each try."""
        return self.repeat(action, lambda _: method()(request, timeout=self.patience.call))

    def repeat(self, action: str, attempt: Callable[[Tries], _Result]) -> _Result:
        """Runs `attempt` until it succeeds, fails for good, or patience is over."""
        tries = Tries(self, action)
        while True:
            try:
                tries.begin()
                return attempt(tries)
            except (grpc.RpcError, ValueError) as error:
                tries.failed(error)

    def wait(self, seconds: float) -> None:
        """Waits; `close()` ends it."""
        self._closed.wait(seconds)

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def leave(self, index: int) -> None:
        """Server `index` did not serve: the next is asked from now on, unless somebody turned already."""
        with self._lock:
            if self._current == index:
                self._current = (index + 1) % len(self.addresses)


class Tries:
    """The tries of one call or stream: what is done between one that failed and the next.

        tries = Tries(connection, "watch job")
        while True:
            try:
                tries.begin()
                ...  # calls tries.advance() whenever something came
            except (grpc.RpcError, ValueError) as error:
                tries.failed(error)  # waits, or raises
    """

    def __init__(self, connection: Connection, action: str) -> None:
        self._connection = connection
        self._action = action
        self._patience = connection.patience.retry
        self._backoff = _Backoff(connection.patience)
        self._last_advance = time.monotonic()
        self._asked = 0
        self._advanced = False

    def begin(self) -> None:
        """Starts a try. Raises Cancelled once the client is closed."""
        if self._connection.closed:
            raise self._cancelled()
        self._asked = self._connection.current
        self._advanced = False

    def advance(self) -> None:
        """This try got further than the one before; what has worked once is worth more patience."""
        self._advanced = True
        self._patience = self._connection.patience.reconnect

    def failed(self, error: Exception) -> None:
        """Waits until it is time for the next try. Raises what `error` means when there is to be none."""
        if self._connection.closed:
            raise self._cancelled() from error
        if not isinstance(error, grpc.RpcError):
            raise error  # grpc raises a ValueError for a call on a closed channel; any other is the caller's own.
        failure = errors.from_rpc_error(error, self._action, self._connection.server)
        if not _may_retry(failure):
            raise failure from error
        self._connection.leave(self._asked)
        now = time.monotonic()
        if self._advanced:
            self._last_advance = now
            self._backoff.reset()
        # A server that says when to come back knows better; another one need not be waited for.
        asked_for = (failure.retry_delay or 0.0) if self._connection.current == self._asked else 0.0
        delay = max(self._backoff.next(), asked_for)
        if now + delay - self._last_advance > self._patience:
            raise failure from error
        self._connection.wait(delay)

    def ended(self, cause: str) -> None:
        """As failed(), for a stream that the server ended in order before it was complete."""
        failure = errors.ServerUnavailable(f"cannot {self._action}: {cause}; server={self._connection.server}",
                                           code="UNAVAILABLE")
        if self._advanced:
            self._last_advance = time.monotonic()
            self._backoff.reset()
        delay = self._backoff.next()
        if time.monotonic() + delay - self._last_advance > self._patience:
            raise failure
        self._connection.leave(self._asked)
        self._connection.wait(delay)

    def _cancelled(self) -> errors.Cancelled:
        return errors.Cancelled(f"cannot {self._action}: the client is closed", code="CANCELLED")


def _may_retry(failure: errors.DistilleryError) -> bool:
    """The server is away or too slow, or full for now and said when it may not be."""
    return isinstance(failure, (errors.ServerUnavailable, errors.DeadlineExceeded)) or (
        isinstance(failure, errors.LimitReached) and failure.retry_delay is not None)


def _open(address: str, credentials: Optional[grpc.ChannelCredentials], server_name: str,
          one_of_several: bool) -> grpc.Channel:
    # Pings tell of a server that vanished without a word; their distance must agree with what the server takes.
    options: List[Tuple[str, Union[int, str]]] = [
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 1000 if one_of_several else 3000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_time_ms", 12_000 if one_of_several else 20_000),
        ("grpc.keepalive_timeout_ms", 5_000 if one_of_several else 10_000),
    ]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    if credentials is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credentials, options)


def split_addresses(address: Union[str, Sequence[str]]) -> List[str]:
    """Reads "host:port", several separated by commas, or a list of them. Raises ValueError for none.

    >>> split_addresses("a:7700, b:7700")
    ['a:7700', 'b:7700']
    """
    entries = address.split(",") if isinstance(address, str) else list(address)
    addresses = [entry.strip() for entry in entries if entry.strip()]
    if not addresses:
        raise ValueError("cannot connect: no address of a server; give \"host:port\"")
    return addresses


def make_credentials(addresses: Sequence[str], token: Optional[str], tls: Optional[Tls],
                     allow_plaintext: bool) -> Optional[grpc.ChannelCredentials]:
    """Returns what to open channels with; None: unencrypted. Raises ValueError for what would give a secret away."""
    if tls is None:
        if token:
            raise ValueError("cannot use token: it is sent over TLS only; give tls=Tls(ca=...)")
        for address in addresses:
            if not allow_plaintext and not is_loopback(address):
                raise ValueError(
                    "cannot connect to server: it is not on this machine, and nothing says how to encrypt; give "
                    f"tls=Tls(ca=...), or allow_plaintext=True on a trusted network; server={address}")
        return None
    if (tls.certificate is None) != (tls.key is None):
        raise ValueError("cannot connect to server: a certificate needs its key, and a key its certificate")
    credentials = grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.certificate))
    if token:
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
    return credentials


def read_token(path: PathLike) -> str:
    """Reads a bearer token from the first line of a file that only its owner may read. Raises ValueError otherwise."""
    if os.stat(path).st_mode & 0o077:
        raise ValueError(f"cannot use token: other users may read its file; chmod 600 it; path={os.fspath(path)}")
    with open(path, encoding="ascii", errors="replace") as file:
        token = file.read(_MAX_TOKEN_BYTES).split("\n")[0].strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"cannot use token: the first line of the file is none; path={os.fspath(path)}")
    return token


def _read(path: Optional[PathLike]) -> Optional[bytes]:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def is_loopback(address: str) -> bool:
    """Whether "host:port" is on this machine.

    >>> [is_loopback(a) for a in ("localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/run/s", "10.0.0.1:1")]
    [True, True, True, True, False]
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]") or address
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_addresses() -> List[str]:
    """$DISTILL_SERVER, else what `distill dev` wrote in this folder. Raises ValueError without either."""
    if os.environ.get("DISTILL_SERVER"):
        return split_addresses(os.environ["DISTILL_SERVER"])
    path = os.path.join(os.environ.get("DISTILL_DATA_DIR") or ".distill", "addresses")
    try:
        with open(path, encoding="utf-8") as file:
            fields = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except FileNotFoundError:
        fields = {}
    if not fields.get("grpc"):
        raise ValueError("cannot find a server: neither an address nor DISTILL_SERVER is given, and no `distill dev` runs in "
                         "this folder")
    return [fields["grpc"]]


def default_tls() -> Optional[Tls]:
    """What the environment says; None: unencrypted."""
    ca = os.environ.get("DISTILL_TLS_CA")
    certificate, key = os.environ.get("DISTILL_TLS_CERT"), os.environ.get("DISTILL_TLS_KEY")
    if not (ca or certificate or key):
        return None
    return Tls(ca=None if ca in (None, "", "system") else ca, certificate=certificate or None, key=key or None,
               server_name=os.environ.get("DISTILL_TLS_SERVER_NAME", ""))
