"""Frames, Hello, session keys and both sides of a session; no socket and no clock.

A frame is always whole here, header included: that is what stands in the vectors, what a recorder keeps
and what a replay sends.
"""

import os
import struct
from collections.abc import Container, Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from .boxes import blake, box, dh, pad, public, unbox, unpad
from .fault import Fault


class Kind(IntEnum):
    """The type of a message."""

    HELLO = 0x00
    LINK = 0x01
    GET = 0x02
    OK_GET = 0x03
    BYE = 0x99
    KEY_NOT_FOUND = 0xAA
    ERROR = 0xFF


Allowed = Mapping[int, Container[int]]

FIRST: Allowed = {Kind.HELLO: (128,)}
REPLIES: Allowed = {Kind.LINK: (72,), Kind.KEY_NOT_FOUND: (104,), Kind.ERROR: (328,)}
AFTER_LINK: Allowed = {Kind.GET: (16,), Kind.BYE: (48,)}
ANSWERS: Allowed = {Kind.OK_GET: range(16 + 256, 16 + 256 * 255 + 1, 256), Kind.ERROR: (272,)}
AFTER_OK_GET: Allowed = {Kind.BYE: (48,)}

PADDED = (Kind.OK_GET, Kind.ERROR)


def pack(kind: int, body: bytes) -> bytes:
    return struct.pack(">HB", len(body), kind) + body


def split(stream: bytes) -> list[bytes]:
    """Cut a recorded stream into frames; the last one may be incomplete."""
    frames = []
    while stream:
        size = 3 + int.from_bytes(stream[:2], "big")
        frames.append(stream[:size])
        stream = stream[size:]
    return frames


def flip(data: bytes, bit: int) -> bytes:
    """Return ``data`` with one bit altered, counted from the least of the first byte."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def nonce(kind: int) -> bytes:
    return bytes([kind]).ljust(24, b"\0")


def seal(key: bytes, kind: int, body: bytes) -> bytes:
    return box(key, nonce(kind), pad(body) if kind in PADDED else body)


def open_sealed(key: bytes, kind: int, sealed: bytes) -> bytes:
    body = unbox(key, nonce(kind), sealed)
    return unpad(body) if kind in PADDED else body


# Hello


def inner_nonce(E: bytes, S: bytes, C: bytes) -> bytes:
    return blake(24, "h-inner", E + S + C)


def outer_nonce(E: bytes, S: bytes) -> bytes:
    return blake(24, "h-outer", E + S)


def inner_box(S: bytes, c: bytes, E: bytes) -> bytes:
    C = public(c)
    return box(dh(S, c), inner_nonce(E, S, C), C)


def outer_hello(S: bytes, e: bytes, C: bytes, inner: bytes) -> bytes:
    """Wrap any inner box, wrong ones included."""
    E = public(e)
    return pack(Kind.HELLO, E + box(dh(S, e), outer_nonce(E, S), C + inner))


def pack_hello(S: bytes, c: bytes, e: bytes) -> bytes:
    return outer_hello(S, e, public(c), inner_box(S, c, public(e)))


class Asked(NamedTuple):
    """Who said Hello, and what the server shares with them."""

    C: bytes
    with_client: bytes
    with_ephemeral: bytes


def open_hello(s: bytes, frame: bytes) -> Asked:
    S, E = public(s), frame[3:35]
    with_ephemeral = dh(E, s)
    opened = unbox(with_ephemeral, outer_nonce(E, S), frame[35:])
    C, inner = opened[:32], opened[32:]
    with_client = dh(C, s)
    if unbox(with_client, inner_nonce(E, S, C), inner) != C:
        raise Fault("an inner box for somebody else")
    return Asked(C, with_client, with_ephemeral)


# session keys


class Keys(NamedTuple):
    transcript: bytes
    up: bytes
    down: bytes


class Shared(NamedTuple):
    """dh(S,c), dh(S,e), dh(F,e): the same three for both sides."""

    static: bytes
    to_server: bytes
    ephemeral: bytes


def session_keys(S: bytes, hello: bytes, kind: int, fresh: bytes, shared: Shared) -> Keys:
    """Derive the keys of a session; ``fresh`` is F || R as it stands in the reply."""
    transcript = blake(32, "transcr", S + hello + bytes([kind]) + fresh)
    both = blake(64, "keys", transcript + shared.to_server + shared.ephemeral, key=shared.static)
    return Keys(transcript, both[:32], both[32:])


class ClientSession:
    """The client's side: each method packs one frame or opens one."""

    def __init__(self, S: bytes, c: bytes, e: bytes | None = None) -> None:
        self.S, self.c, self.C = S, c, public(c)
        self.e = e or os.urandom(32)
        self.hello = pack_hello(S, c, self.e)
        self.keys: Keys | None = None

    def take_reply(self, frame: bytes) -> tuple[Kind, bytes]:
        """Open Link, KeyNotFound or Error in answer to Hello."""
        kind, fresh = Kind(frame[2]), frame[3:59]
        shared = Shared(dh(self.S, self.c), dh(self.S, self.e), dh(fresh[:32], self.e))
        self.keys = session_keys(self.S, self.hello, kind, fresh, shared)
        body = open_sealed(self.keys.down, kind, frame[59:])
        if kind is Kind.KEY_NOT_FOUND and body != self.C:
            raise Fault("KeyNotFound for somebody else")
        return kind, checked_text(body) if kind is Kind.ERROR else body

    def get(self) -> bytes:
        return self.pack(Kind.GET, b"")

    def bye(self) -> bytes:
        return self.pack(Kind.BYE, self.C)

    def pack(self, kind: int, body: bytes) -> bytes:
        assert self.keys, "nothing can be sealed before Link"
        return pack(kind, seal(self.keys.up, kind, body))

    def take_answer(self, frame: bytes) -> tuple[Kind, bytes]:
        """Open OkGet, or Error in answer to Get."""
        assert self.keys, "nothing can be opened before Link"
        kind = Kind(frame[2])
        body = open_sealed(self.keys.down, kind, frame[3:])
        return kind, checked_text(body) if kind is Kind.ERROR else body


def checked_text(body: bytes) -> bytes:
    """Return the text of an Error if it is one: UTF-8, 1 to 255 bytes."""
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Fault("an Error that is not UTF-8") from None
    if not 1 <= len(body) <= 255:
        raise Fault("an Error without a text")
    return body


class ServerSession:
    """The server's side. ``secrets`` are its key pairs, two while it rotates; the outer box chooses."""

    def __init__(self, secrets: Iterable[bytes], f: bytes, R: bytes | None = None) -> None:
        self.secrets, self.f = tuple(secrets), f
        self.fresh = public(f) + (R or os.urandom(24))
        self.hello = self.C = b""
        self.keys: Keys | None = None

    def take_hello(self, frame: bytes) -> bytes:
        """Return who asks, or raise Fault: then the server must not answer one byte."""
        self.hello = frame
        for s in self.secrets:
            try:
                self.S, self.asked = public(s), open_hello(s, frame)
            except Fault:
                continue
            self.C = self.asked.C
            return self.C
        raise Fault("a Hello that does not open")

    def reply(self, kind: int, body: bytes) -> bytes:
        """Answer Hello, which fixes the keys of the session."""
        shared = Shared(self.asked.with_client, self.asked.with_ephemeral, dh(self.hello[3:35], self.f))
        self.keys = session_keys(self.S, self.hello, kind, self.fresh, shared)
        return pack(kind, self.fresh + seal(self.keys.down, kind, body))

    def answer(self, kind: int, body: bytes) -> bytes:
        """Answer Get under the keys that Link fixed."""
        assert self.keys, "nothing can be sealed before Link"
        return pack(kind, seal(self.keys.down, kind, body))

    def take(self, frame: bytes) -> Kind:
        """Open Get or Bye and return which it was."""
        assert self.keys, "nothing can be opened before Link"
        kind = Kind(frame[2])
        body = open_sealed(self.keys.up, kind, frame[3:])
        if body != (self.C if kind is Kind.BYE else b""):
            raise Fault("a body that is not this client's")
        return kind
