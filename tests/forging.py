"""What somebody can make who does not keep to the protocol: Hellos with wrong parts, and boxes of zero keys."""

from __future__ import annotations

from nacl import bindings

from coffer._core import Box, Keypair, blake, pack
from coffer.message import Kind

MASK = 0xFFFFFFFF


def flip(data: bytes, bit: int) -> bytes:
    """Return ``data`` with one bit altered, counted from the least of the first byte."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def inner_nonce(E: bytes, S: bytes, C: bytes) -> bytes:
    return blake(24, b"h-inner", E + S + C)


def outer_nonce(E: bytes, S: bytes) -> bytes:
    return blake(24, b"h-outer", E + S)


def hello(
    S: bytes,
    ephemeral: Keypair,
    client: Keypair,
    *,
    E: bytes | None = None,
    C: bytes | None = None,
    inner: bytes | None = None,
) -> bytes:
    """Return the Hello frame that says ``C`` and ``E``, by default those of the keypairs, with any inner box."""
    E, C = E or ephemeral.public, C or client.public
    inner = inner or Box(client, S).seal(C, inner_nonce(E, S, C))
    return pack(Kind.HELLO, E + Box(ephemeral, S).seal(C + inner, outer_nonce(E, S)))


def box_key(shared: bytes) -> bytes:
    """Return HSalsa20 of what X25519 gave, which is the key of a box: zeros when a point is of low order."""
    k = [int.from_bytes(shared[at : at + 4], "little") for at in range(0, 32, 4)]
    words = [0x61707865, *k[:4], 0x3320646E, 0, 0, 0, 0, 0x79622D32, *k[4:], 0x6B206574]
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)):
            _quarter(words, a, b, c, d)
        for a, b, c, d in ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)):
            _quarter(words, a, b, c, d)
    return b"".join(words[at].to_bytes(4, "little") for at in (0, 5, 10, 15, 6, 7, 8, 9))


def _quarter(words: list[int], a: int, b: int, c: int, d: int) -> None:
    for to, one, other, turn in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
        total = words[one] + words[other] & MASK
        words[to] ^= (total << turn | total >> 32 - turn) & MASK


# The keys that anybody knows when a low-order point is let through: what X25519 gives of it, hashed as for a box, and
# what memory holds when the failure of the call that should have filled it goes unseen.
ZERO_KEYS = {"hashed": box_key(bytes(32)), "untouched": bytes(32)}


def zero_box(nonce: bytes, message: bytes, key: bytes) -> bytes:
    """Return the box that anybody can make with a low-order point."""
    return bindings.crypto_secretbox(message, nonce, key)
