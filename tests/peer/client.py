"""A blocking client, one step a method, so that a test can do every other thing between two steps."""

import socket
from types import TracebackType

from . import response
from .fault import Ended, Fault, Late, Refused, Unanswered
from .identity import Address
from .stream import Stream
from .wire import ANSWERS, REPLIES, ClientSession, Kind


class Client:
    """One conversation with one server; ``stream`` and ``session`` are open to whoever wants to misbehave."""

    def __init__(self, where: Address, c: bytes, seconds: float = 5.0, e: bytes | None = None) -> None:
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
        """Say Hello and take Link; Refused is KeyNotFound or Error that opened."""
        try:
            self.stream.send(self.session.hello)
            frame = self.stream.frame(REPLIES)
        except (Ended, Late) as fault:
            if self.stream.received:
                raise
            raise Unanswered(f"{fault} before Link") from None
        self._refuse_but(Kind.LINK, *self.session.take_reply(frame))

    def get(self) -> dict[str, response.Value]:
        """Send Get and return the shard."""
        self.stream.send(self.session.get())
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
    """The honest conversation: Hello, Get, Bye. A shard comes whole or not at all."""
    with Client(where, c, seconds) as client:
        client.hello()
        shard = client.get()
        client.bye()
        return shard


def ping(where: Address, c: bytes, seconds: float = 5.0) -> None:
    """Hello, Link, Bye."""
    with Client(where, c, seconds) as client:
        client.hello()
        client.bye()
