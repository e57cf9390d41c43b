"""Somebody on the path between a client and a server: records every frame, and may put others in their place."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from peer.fault import Ended, Fault
from peer.stream import Stream

# What passes instead of a frame, given it and all frames before it.
Alter = Callable[[bytes, list[bytes]], bytes]
ANY = {kind: range(65_536) for kind in range(256)}
SECONDS = 20.0


def faithful(frame: bytes, before: list[bytes]) -> bytes:
    return frame


def put(others: Mapping[int, bytes]) -> Alter:
    """Put these frames in the place of those of the same types."""
    return lambda frame, before: others.get(frame[2], frame)


def reflect(kind: int) -> Alter:
    """Throw the last frame back at who sent it, in the place of the answer of this type."""
    return lambda frame, before: before[-1] if frame[2] == kind else frame


class Relay:
    """Passes on one connection, frame by frame, while its ``with`` block runs; ``frames`` are as they were sent."""

    def __init__(self, server_port: int, alter: Alter = faithful) -> None:
        self.frames: list[bytes] = []
        self._alter, self._server_port = alter, server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._carrier = threading.Thread(target=self._carry)

    def __enter__(self) -> Relay:
        self._carrier.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes it if nobody came
        self._carrier.join()
        self._listener.close()

    def _carry(self) -> None:
        try:
            client = Stream(self._listener.accept()[0], SECONDS)
        except OSError:
            return
        server = Stream(socket.create_connection(("127.0.0.1", self._server_port)), SECONDS)
        back = threading.Thread(target=self._pass_on, args=(server, client))
        back.start()
        self._pass_on(client, server)
        back.join()
        client.close()
        server.close()

    def _pass_on(self, source: Stream, sink: Stream) -> None:
        """One direction, until it ends. Client and server take turns, so that the frames are in their order."""
        with contextlib.suppress(Fault):
            try:
                while True:
                    frame = source.frame(ANY)
                    passed = self._alter(frame, list(self.frames))
                    self.frames.append(frame)
                    sink.send(passed)
            except Ended as ended:
                (sink.finish if ended.how == "closed" else sink.abort)()
                raise
