"""Hostile byte streams: honest sessions whose frames are altered, cut, joined, repeated and put in another order.

Every stream follows from its seed alone. An honest Hello may stand in front, so that the rest meets a session that
is further on: a recorded Hello can be played again at any time.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from peer.wire import Kind, pack

KINDS = (*Kind, 0x04, 0x98, 0x7F)
LENGTHS = (0, 1, 15, 16, 17, 48, 72, 104, 127, 128, 129, 255, 256, 272, 328, 0x7FFF, 0xFFFF)


class Stream(NamedTuple):
    """What goes over one connection, piece by piece; ``frames`` is how many mangled ones that are."""

    pieces: list[bytes]
    frames: int


def flip_bits(chance: random.Random, frame: bytes) -> bytes:
    data = bytearray(frame)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(8 * len(data))
        data[at // 8] ^= 1 << at % 8
    return bytes(data)


def lie_about_length(chance: random.Random, frame: bytes) -> bytes:
    return chance.choice(LENGTHS).to_bytes(2, "big") + frame[2:]


def change_kind(chance: random.Random, frame: bytes) -> bytes:
    return frame[:2] + bytes([chance.choice(KINDS)]) + frame[3:]


def cut(chance: random.Random, frame: bytes) -> bytes:
    return frame[: chance.randrange(len(frame))]


def lengthen(chance: random.Random, frame: bytes) -> bytes:
    return frame + chance.randbytes(chance.choice((1, 3, 128, 1000)))


def splice(chance: random.Random, frame: bytes) -> bytes:
    at = chance.randrange(len(frame))
    return frame[:at] + chance.randbytes(chance.randrange(1, 40)) + frame[at:]


def invent(chance: random.Random, frame: bytes) -> bytes:
    return pack(chance.choice(KINDS), chance.randbytes(chance.choice(LENGTHS[:-2])))


def repeat(chance: random.Random, frame: bytes) -> bytes:
    return frame * chance.randrange(2, 4)


MANGLES = (flip_bits, lie_about_length, change_kind, cut, lengthen, splice, invent, repeat)


def mangled(chance: random.Random, hellos: Sequence[bytes], others: Sequence[bytes]) -> Stream:
    """One connection's worth: perhaps an honest Hello, then frames in any order, most of them mangled."""
    frames = chance.sample((chance.choice(hellos), *others), chance.randrange(1, len(others) + 2))
    frames = [chance.choice(MANGLES)(chance, frame) if chance.random() < 0.9 else frame for frame in frames]
    count = len(frames)
    if chance.random() < 0.5:
        frames.insert(0, chance.choice(hellos))
    return Stream(list(pieces(chance, b"".join(frames))), count)


def pieces(chance: random.Random, data: bytes) -> Iterator[bytes]:
    """The whole at once, mostly; sometimes in pieces, whose borders are not those of frames."""
    while data and chance.random() < 0.3:
        at = chance.randrange(len(data)) + 1
        yield data[:at]
        data = data[at:]
    if data:
        yield data
