"""A network that a fault can break: stands between programs and passes bytes on, later, slower, changed, or not at all."""

import random
import selectors
import socket
import threading
import time

_CHUNK = 16 * 1024
TO_SERVER, TO_CLIENT = "to server", "to client"


class _Pipe:
    """One direction of one connection: what was read waits here until it is due."""

    def __init__(self, source, sink, direction):
        self.source, self.sink, self.direction = source, sink, direction
        self.waiting = []  # (when due, bytes)
        self.ended = False


class Proxy:
    """Listens on a free port of 127.0.0.1 and connects each caller to `server`, "host:port". Owns one thread. `random_seed`
    decides which bytes are changed."""

    def __init__(self, server, random_seed=0):
        host, port = server.rsplit(":", 1)
        self._server = (host, int(port))
        self._random = random.Random(random_seed)
        self._lock = threading.Lock()
        self._cut = set()
        self._delay = {TO_SERVER: 0.0, TO_CLIENT: 0.0}
        self._bytes_per_second = None
        self._flips = 0
        self._break = False
        self._stop = False
        self.flipped = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pipes = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self):
        with self._lock:
            self._stop = True
        self._thread.join()

    def cut(self, *directions):
        """Nothing passes in these directions, or in both, until heal(). Connections stay, as when a cable is pulled."""
        with self._lock:
            self._cut = set(directions or (TO_SERVER, TO_CLIENT))

    def slow(self, delay=0.0, bytes_per_second=None):
        with self._lock:
            self._delay = {TO_SERVER: delay, TO_CLIENT: delay}
            self._bytes_per_second = bytes_per_second

    def flip(self, bits):
        """Changes a bit in each of the next `bits` chunks."""
        with self._lock:
            self._flips += bits

    def reset(self):
        """Breaks all connections; what is under way is lost."""
        with self._lock:
            self._break = True

    def heal(self):
        with self._lock:
            self._cut = set()
            self._delay = {TO_SERVER: 0.0, TO_CLIENT: 0.0}
            self._bytes_per_second = None
            self._flips = 0

    def _run(self):
        while True:
            with self._lock:
                if self._stop:
                    break
                breaking, self._break = self._break, False
            if breaking:
                for pipe in list(self._pipes):
                    self._end(pipe)
            for key, _ in self._selector.select(0.005):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.data)
            self._deliver()
        for pipe in list(self._pipes):
            self._end(pipe)
        self._listener.close()
        self._selector.close()

    def _accept(self):
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._server, timeout=2)
        except OSError:
            client.close()
            return
        for source, sink, direction in ((client, server, TO_SERVER), (server, client, TO_CLIENT)):
            source.setblocking(True)
            # As through a cable: held back for an acknowledgement, each call would take 40 ms more.
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pipe = _Pipe(source, sink, direction)
            self._pipes.append(pipe)
            self._selector.register(source, selectors.EVENT_READ, pipe)

    def _read(self, pipe):
        try:
            data = pipe.source.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            pipe.ended = True
            self._forget(pipe.source)
            return
        with self._lock:
            due = time.monotonic() + self._delay[pipe.direction]
            if self._bytes_per_second:
                last = pipe.waiting[-1][0] if pipe.waiting else time.monotonic()
                due = max(due, last) + len(data) / self._bytes_per_second
            if self._flips > 0:
                self._flips -= 1
                self.flipped += 1
                changed = bytearray(data)
                changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
                data = bytes(changed)
        pipe.waiting.append((due, data))

    def _deliver(self):
        now = time.monotonic()
        with self._lock:
            cut = set(self._cut)
        for pipe in list(self._pipes):
            if pipe.direction in cut:
                continue
            try:
                while pipe.waiting and pipe.waiting[0][0] <= now:
                    pipe.sink.sendall(pipe.waiting.pop(0)[1])
            except OSError:
                self._end(pipe)
                continue
            if pipe.ended and not pipe.waiting:
                self._end(pipe)

    def _forget(self, source):
        try:
            self._selector.unregister(source)
        except (KeyError, ValueError):
            pass

    def _end(self, pipe):
        """Ends both directions of its connection."""
        ends = {pipe.source, pipe.sink}
        for other in [other for other in self._pipes if other.source in ends]:
            self._forget(other.source)
            self._pipes.remove(other)
        for end in ends:
            end.close()
