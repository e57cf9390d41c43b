"""How a client does something to a server and what came of it; the deeds with a name are in deeds.py.

A deed works on a Client that has just connected. The functions here that take bytes, bits and offsets make
deeds for tests that have many to try.
"""

import contextlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import wire
from .client import Client
from .fault import Ended
from .identity import Address
from .wire import Kind

Act = Callable[[Client], None]


class Outcome(NamedTuple):
    """The types of the frames that came, and how the stream ended ("open": it did not, in time)."""

    answers: tuple[int, ...]
    end: str


class Deed(NamedTuple):
    act: Act
    answers: tuple[Kind, ...]
    end: str
    is_slow: bool

    def is_met_by(self, outcome: Outcome) -> bool:
        ends = ("reset", "closed") if self.end == "either" else (self.end,)
        return outcome.answers == self.answers and outcome.end in ends


DEEDS: dict[str, Deed] = {}


def deed(*answers: Kind, end: str = "reset", is_slow: bool = False) -> Callable[[Act], Act]:
    def keep(act: Act) -> Act:
        DEEDS[act.__name__] = Deed(act, answers, end, is_slow)
        return act

    return keep


def attempt(act: Act, where: Address, c: bytes, seconds: float) -> Outcome:
    """Do it, then listen until the server ends the stream."""
    with Client(where, c, seconds) as client:
        with contextlib.suppress(Ended):  # the server may have seen enough before the deed was done
            act(client)
        end = client.stream.end(seconds)
        frames = wire.split(bytes(client.stream.received))
        return Outcome(tuple(frame[2] if len(frame) > 2 else -1 for frame in frames), end)


def record(where: Address, c: bytes) -> list[bytes]:
    """Return all frames of an honest session in order: Hello, Link, Get, OkGet, Bye."""
    with Client(where, c) as client:
        client.hello()
        client.get()
        client.bye()
        sent, received = (wire.split(bytes(half)) for half in (client.stream.sent, client.stream.received))
    return [sent[0], received[0], sent[1], received[1], sent[2]]


# given bytes at each state


def first(data: bytes) -> Act:
    return lambda client: client.stream.send(data)


def after_link(data: bytes) -> Act:
    def act(client: Client) -> None:
        client.hello()
        client.stream.send(data)

    return act


def after_ok_get(data: bytes) -> Act:
    def act(client: Client) -> None:
        client.hello()
        client.get()
        client.stream.send(data)

    return act


def cut(frame: int, offset: int) -> Act:
    """End the stream ``offset`` bytes into Hello, Get or Bye (0, 1, 2)."""

    def act(client: Client) -> None:
        client.stream.send(_come_to(client, frame)[:offset])
        client.stream.finish()

    return act


def altered(frame: int, bit: int) -> Act:
    """Send Hello, Get or Bye (0, 1, 2) with one bit flipped, the header's included."""

    def act(client: Client) -> None:
        client.stream.send(wire.flip(_come_to(client, frame), bit))

    return act


def _come_to(client: Client, frame: int) -> bytes:
    """Go on honestly up to where this frame is due, and return it unsent."""
    if frame == 0:
        return client.session.hello
    client.hello()
    if frame == 1:
        return client.session.get()
    client.get()
    return client.session.bye()


def whole_replay(frames: Iterable[bytes]) -> Act:
    """Send the client's half of a recorded session, waiting for nothing."""
    return first(b"".join(frames))
