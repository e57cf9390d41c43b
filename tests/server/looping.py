"""A loop in a thread, on real sockets, with conversations that a test can steer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from coffer.server.loop import Connection, Loop
from coffer.server.sources import Sources

PATIENCE = {"first": 1.0, "second": 1.5, "third": 1.5, "over": 1.0}


class Echo:
    """Says back each line it is told; ``x`` is a fault, ``bye`` the end, ``big N`` earns N bytes."""

    def __init__(self) -> None:
        self.state = "first"
        self.closed = False
        self.fault: str | None = None
        self.failing = False
        self.proven = False
        self._line = b""

    def receive(self, data: memoryview) -> bytes:
        *lines, self._line = (self._line + bytes(data)).split(b"\n")
        return b"".join(self._take(line) for line in lines)

    def _take(self, line: bytes) -> bytes:
        if self.closed or line == b"x":
            self.failing = True
            self._end("a fault")
            return b""
        if line == b"bye":
            self.proven = True
            self._end(None)
            return b""
        self.proven = self.state != "first"
        self.state = "third" if self.state == "second" else "second"
        return bytes(int(line[4:])) if line.startswith(b"big ") else line + b"\n"

    def _end(self, fault: str | None) -> None:
        self.closed, self.fault, self.state = True, fault, "over"

    def receive_end(self) -> None:
        if not self.closed:
            self._end("an end too early")


class Client(socket.socket):
    """A socket that tells of a reset to whoever reads, though it may have shown itself earlier."""

    was_reset = False

    def recv(self, *arguments: int) -> bytes:
        if self.was_reset:
            raise ConnectionResetError
        return super().recv(*arguments)


class Running:
    """The loop, until the ``with`` block ends. ``ends`` is what was reported: (address, why)."""

    def __init__(
        self, *, most: int = 100, sources: Sources | None = None, make: Callable[[], Any] = Echo, **patience: float
    ) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.ends: list[tuple[str, str | None]] = []
        self.made: list[Any] = []
        self._make = make
        self._poke, self._poked = socket.socketpair()
        self._asked: list[Callable[[], object]] = []
        self.loop = Loop(
            [self.listener],
            Sources(0, 0, 0) if sources is None else sources,
            most,
            self._keep,
            PATIENCE | patience,
            self._report,
        )
        self.loop.watch(self._poked, self._do)
        self._thread = threading.Thread(target=self._run)
        self.crash: BaseException | None = None

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.crash = error

    def _keep(self) -> Any:
        self.made.append(self._make())
        return self.made[-1]

    def _report(self, connection: Connection, why: str | None) -> None:
        self.ends.append((connection.source.name, why))

    def _do(self) -> None:
        self._poked.recv(100)
        while self._asked:
            self._asked.pop(0)()  # a list: one thread adds at its end, the other takes from its beginning

    def later(self, act: Callable[[], object]) -> None:
        """Have the loop's own thread do something, soon."""
        self._asked.append(act)
        self._poke.send(b".")

    def within(self, act: Callable[[], object]) -> None:
        """Have the loop's own thread do something, and wait until it is done."""
        done = threading.Event()
        self.later(act)
        self.later(done.set)
        assert done.wait(5)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.loop.stop()
            self._poke.send(b".")
        self._thread.join(10)
        alive = self._thread.is_alive()
        left = [*(key.data[1] for key in self.loop._selector.get_map().values()), *self.loop._answered]
        for sock in (self._poke, self._poked, self.listener, *(each.socket for each in left if each is not None)):
            sock.close()
        assert not alive, "the loop does not stop"
        if self.crash is not None:
            raise self.crash

    @property
    def is_over(self) -> bool:
        self._thread.join(0.01)
        return not self._thread.is_alive()

    def connect(self, said: bytes = b"", *, source: str = "127.0.0.1", room: int = 0) -> Client:
        sock = Client()
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.settimeout(8)
        sock.bind((source, 0))
        try:
            sock.connect(self.address)
            sock.sendall(said)
        except ConnectionResetError:
            sock.was_reset = True
        except OSError:
            sock.close()
            raise
        return sock

    def await_ends(self, count: int, seconds: float = 5.0) -> list[str | None]:
        limit = time.monotonic() + seconds
        while len(self.ends) < count:
            assert time.monotonic() < limit, self.ends
            time.sleep(0.005)
        return [why for _, why in self.ends]


def ending(sock: socket.socket) -> tuple[bytes, str]:
    """Return everything up to the end, and whether that was "closed" or "reset"."""
    said = b""
    with sock:
        try:
            while part := sock.recv(65536):
                said += part
        except ConnectionResetError:
            return said, "reset"
    return said, "closed"


def is_served(sock: socket.socket) -> bool:
    """Whether this new connection is answered; it is closed afterwards."""
    with sock:
        try:
            sock.sendall(b"hello\n")
            return sock.recv(100) == b"hello\n"
        except ConnectionError:
            return False


def seconds_to_end(sock: socket.socket) -> tuple[float, str]:
    began = time.monotonic()
    _, how = ending(sock)
    return time.monotonic() - began, how
