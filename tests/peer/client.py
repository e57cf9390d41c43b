"""A blocking client, one step a method, so that a test can do every other thing between two steps."""

import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType

from . import response
from .fault import Ended, Fault, Late, Refused, Unanswered
from .identity import Address
from .stream import Stream
from .wire import ANSWERS, REPLIES, ClientSession, Kind


class Client:
    """One conversation with one server; ``stream`` and ``session`` are open to whoever wants to misbehave."""

    def __init__(self, where: Address, c: bytes, seconds: float = 5.0, e: bytes | None = None) -> None:
        self.where = where
        self.session = ClientSession(where.S, c, e)
        self.response = b""
        try:
            sock = socket.create_connection((where.host, where.port), timeout=seconds)
        except OSError as error:
            raise Unanswered(f"no connection: {error}") from None
        self.stream = Stream(sock, seconds)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind:
            self.stream.reset()
        else:
            self.stream.close()

    def hello(self) -> None:
        with self._unanswered():
            self.stream.send(self.session.hello)
        self.take_link()

    def take_link(self) -> None:
        """Take Link; Refused is KeyNotFound or Error that opened."""
        with self._unanswered():
            frame = self.stream.frame(REPLIES)
        self._refuse_but(Kind.LINK, *self.session.take_reply(frame))

    @contextlib.contextmanager
    def _unanswered(self) -> Iterator[None]:
        """An end before Link is whole is one case, whatever the reason."""
        try:
            yield
        except (Ended, Late) as fault:
            raise Unanswered(f"{fault} before Link") from None

    def get(self) -> dict[str, response.Value]:
        self.stream.send(self.session.get())
        return self.take_shard()

    def take_shard(self) -> dict[str, response.Value]:
        """Take OkGet and return the shard, decoded before Bye is said."""
        kind, body = self.session.take_answer(self.stream.frame(ANSWERS))
        self._refuse_but(Kind.OK_GET, kind, body)
        self.response = body
        return response.decode(body)

    def bye(self) -> None:
        self.stream.send(self.session.bye())

    def _refuse_but(self, good: Kind, kind: Kind, body: bytes) -> None:
        """Nothing may follow these frames before the client speaks again."""
        if self.stream.has_more:
            raise Fault("bytes after the answer")
        if kind is not good:
            text = ascii(body.decode()) if kind is Kind.ERROR else ""
            raise Refused(f"{kind.name} {text}".strip())


def fetch(where: Address, c: bytes, seconds: float = 5.0) -> dict[str, response.Value]:
    """The honest conversation: Hello, Get, Bye. A whole shard is not spoiled by an end before Bye."""
    with Client(where, c, seconds) as client:
        client.hello()
        shard = client.get()
        with contextlib.suppress(Ended):
            client.bye()
        return shard


def ping(where: Address, c: bytes, seconds: float = 5.0) -> None:
    """Hello, Link, Bye."""
    with Client(where, c, seconds) as client:
        client.hello()
        client.bye()
