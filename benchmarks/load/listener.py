"""A listener without a protocol, for tests: it keeps what came on each connection and ends it after a while."""

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Visit:
    source: str
    arrivals: list[float] = field(default_factory=list)  # seconds after accept, one for each piece
    data: bytes = b""


class Listener:
    """Ends each connection ``lasting`` seconds after accept, with a reset or an orderly end, saying ``words`` first."""

    def __init__(self, lasting: float, words: bytes = b"", orderly: bool = False) -> None:
        self.lasting, self.words, self.orderly = lasting, words, orderly
        self.visits: list[Visit] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Listener":
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, (source, _) = self._listener.accept()
                self.visits.append(Visit(source))
                thread = threading.Thread(target=self._receive, args=(sock, self.visits[-1]), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _receive(self, sock: socket.socket, visit: Visit) -> None:
        began = time.monotonic()
        with sock:
            with contextlib.suppress(OSError):
                while (left := began + self.lasting - time.monotonic()) > 0:
                    sock.settimeout(left)
                    if not (piece := sock.recv(65536)):
                        break
                    visit.data += piece
                    visit.arrivals.append(time.monotonic() - began)
            with contextlib.suppress(OSError):
                sock.sendall(self.words)
            if not self.orderly:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
