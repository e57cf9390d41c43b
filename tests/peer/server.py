"""A blocking server with a thread a connection; what it says to whom is a function that can be exchanged.

Equal work for every kind of stranger is not here: that promise is about time, and Python keeps none.
"""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from .boxes import public
from .fault import Fault
from .identity import Address
from .stream import Stream
from .wire import AFTER_LINK, AFTER_OK_GET, FIRST, Kind, ServerSession

EPOCH_SECONDS = 60.0


class Conversation:
    """One connection, in steps. A step sends or takes one frame; a Fault ends it with a reset."""

    def __init__(self, server: "Server", stream: Stream) -> None:
        self.server, self.stream = server, stream
        self.session = ServerSession(server.secrets, server.ephemeral())

    def take_hello(self) -> bytes:
        return self.session.take_hello(self.stream.frame(FIRST))

    def link(self) -> None:
        self.stream.send(self.session.reply(Kind.LINK, b""))
        self.stream.until(self.server.seconds)

    def take_get(self) -> Kind:
        """Take Get, or the Bye of a client that only wanted Link."""
        return self.session.take(self.stream.frame(AFTER_LINK))

    def ok_get(self, response: bytes) -> None:
        self.stream.send(self.session.answer(Kind.OK_GET, response))
        self.stream.until(self.server.seconds * 2 / 5)

    def take_bye(self) -> Kind:
        return self.session.take(self.stream.frame(AFTER_OK_GET))

    def wait_for_close(self) -> None:
        """Leave TIME_WAIT to the client, up to a second."""
        self.stream.end(1.0)


Manner = Callable[[Conversation], None]


def honest(talk: Conversation) -> None:
    """The whole conversation as the protocol has it."""
    response = talk.server.responses.get(talk.take_hello(), talk.server.everyone)
    if response is None:
        talk.stream.send(talk.session.reply(Kind.KEY_NOT_FOUND, talk.session.C))
    else:
        talk.link()
        if talk.take_get() is Kind.GET:
            talk.ok_get(response)
            talk.take_bye()
    talk.wait_for_close()


class Server:
    """Serves ``responses`` (and ``everyone``, if given, to the rest) while its ``with`` block runs.

    ``outcomes`` counts how conversations ended: "done", or the words of a fault.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        responses: Mapping[bytes, bytes],
        manner: Manner = honest,
        everyone: bytes | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        seconds: float = 5.0,
    ) -> None:
        self.secrets, self.responses, self.everyone = tuple(secrets), responses, everyone
        self.manner, self.seconds = manner, seconds
        self.outcomes: Counter[str] = Counter()
        self._epoch = (b"", 0.0)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, Stream] = {}
        self._listener = socket.create_server(listen, backlog=1024, family=_family(listen[0]))
        self.host, self.port = self._listener.getsockname()[:2]

    @property
    def address(self) -> Address:
        return Address(public(self.secrets[0]), self.host, self.port)

    def ephemeral(self) -> bytes:
        """Return f; a new one when this epoch is over."""
        with self._lock:
            f, made = self._epoch
            if not f or time.monotonic() - made >= EPOCH_SECONDS:
                f, made = self._epoch = os.urandom(32), time.monotonic()
            return f

    def __enter__(self) -> "Server":
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Stop accepting, cut what still runs, and leave no thread behind."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            running = dict(self._open)
        for thread, stream in running.items():
            stream.abort()
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            stream = Stream(sock, self.seconds)
            thread = threading.Thread(target=self._converse, args=(stream,), daemon=True)
            with self._lock:
                self._open[thread] = stream
            thread.start()

    def _converse(self, stream: Stream) -> None:
        try:
            self.manner(Conversation(self, stream))
            stream.close()
            outcome = "done"
        except Fault as fault:
            stream.reset()
            outcome = str(fault)
        with self._lock:
            self.outcomes[outcome] += 1
            del self._open[threading.current_thread()]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
