"""How a server does something to a client; the tricks with a name are in tricks.py.

A trick takes the place of ``server.honest``. The functions here that take arguments make tricks for tests
that have many to try.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from . import wire
from .fault import Fault
from .server import Conversation, Manner
from .wire import Kind

Conclusion = type[Fault] | None


class Trick(NamedTuple):
    manner: Manner
    conclusion: Conclusion
    is_slow: bool


TRICKS: dict[str, Trick] = {}
WAIT_SECONDS = 60.0  # until the client has had enough; the server's end cuts it short


def trick(conclusion: Conclusion, is_slow: bool = False) -> Callable[[Manner], Manner]:
    def keep(manner: Manner) -> Manner:
        TRICKS[manner.__name__] = Trick(manner, conclusion, is_slow)
        return manner

    return keep


def honest_response(talk: Conversation) -> bytes:
    return talk.server.responses.get(talk.session.C, talk.server.everyone or b"\x80")


def to_get(talk: Conversation) -> None:
    """Be honest until Get is there."""
    talk.take_hello()
    talk.link()
    talk.take_get()


def say(talk: Conversation, data: bytes) -> None:
    """Send this and listen for what the client does."""
    talk.stream.send(data)
    talk.stream.end(1.0)


# given bytes, bits and offsets


def say_to_hello(data: bytes) -> Manner:
    def manner(talk: Conversation) -> None:
        talk.take_hello()
        say(talk, data)

    return manner


def say_to_get(data: bytes) -> Manner:
    def manner(talk: Conversation) -> None:
        to_get(talk)
        say(talk, data)

    return manner


def respond(response: bytes) -> Manner:
    """An OkGet that opens, with any bytes where the CBOR belongs."""

    def manner(talk: Conversation) -> None:
        to_get(talk)
        say(talk, talk.session.answer(Kind.OK_GET, response))

    return manner


def cut(offset: int, by_reset: bool = False) -> Manner:
    """The honest answers, as one stream, end after ``offset`` bytes."""

    def manner(talk: Conversation) -> None:
        talk.take_hello()
        link = talk.session.reply(Kind.LINK, b"")
        talk.stream.send(link[:offset])
        if offset > len(link):
            talk.take_get()
            talk.stream.send(talk.session.answer(Kind.OK_GET, honest_response(talk))[: offset - len(link)])
        if by_reset:
            raise Fault("cut")
        talk.stream.finish()
        talk.stream.end(1.0)

    return manner


def altered_link(bit: int) -> Manner:
    def manner(talk: Conversation) -> None:
        talk.take_hello()
        say(talk, wire.flip(talk.session.reply(Kind.LINK, b""), bit))

    return manner


def altered_ok_get(bit: int) -> Manner:
    def manner(talk: Conversation) -> None:
        to_get(talk)
        say(talk, wire.flip(talk.session.answer(Kind.OK_GET, honest_response(talk)), bit))

    return manner


def refuse(kind: Kind, body: bytes, after_get: bool = False) -> Manner:
    """A KeyNotFound or Error that opens, with any body."""

    def manner(talk: Conversation) -> None:
        if after_get:
            to_get(talk)
            say(talk, talk.session.answer(kind, body))
        else:
            talk.take_hello()
            say(talk, talk.session.reply(kind, body))

    return manner


def dribble(pause: float) -> Manner:
    """All honest, but a byte at a time."""

    def manner(talk: Conversation) -> None:
        talk.take_hello()
        _dribble(talk, talk.session.reply(Kind.LINK, b""), pause)
        talk.take_get()
        _dribble(talk, talk.session.answer(Kind.OK_GET, honest_response(talk)), pause)
        talk.take_bye()
        talk.wait_for_close()

    return manner


def _dribble(talk: Conversation, data: bytes, pause: float) -> None:
    talk.stream.until(WAIT_SECONDS)
    for at in range(len(data)):
        talk.stream.send(data[at : at + 1])
        time.sleep(pause)
