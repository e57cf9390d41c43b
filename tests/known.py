"""The known answers of ``vectors/``, and keypairs made of their hex in the one way there is: a key file's text.

Not here: what any of it must come to, which is for the tests to say.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from coffer._core import Keypair, Responder
from serving import FixedSalt

VECTORS = Path(__file__).parent / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def unhex(table: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in table.items()}


WIRE = load("wire")
KEYS, FRAMES = unhex(WIRE["keys"]), unhex(WIRE["frames"])
TEXTS = {name: text.encode() for name, text in WIRE["error texts"].items()}
RESPONSE = bytes.fromhex(WIRE["response"]["cbor"])

PRIME = 2**255 - 19
# The five canonical public keys for which X25519 gives zero, written down apart from coffer's own list:
# the points of low order on curve25519 and its twist.
LOW_ORDER = {
    "zero": bytes(32),
    "one": b"\1" + bytes(31),
    "order 8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order 8, the other": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "minus one": (PRIME - 1).to_bytes(32, "little"),
}


def key_text(secret: bytes) -> bytes:
    return b"coffer-secret-key-1:" + base64.b64encode(secret) + b"\n"


def open_text(text: bytes) -> int:
    """Return a descriptor from which ``text`` can be read, like a file's."""
    fd = os.memfd_create("key")
    os.write(fd, text)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read_keypair(text: bytes) -> Keypair:
    fd = open_text(text)
    try:
        return Keypair.read(fd, "FILE")
    finally:
        os.close(fd)


def keypair(name: str) -> Keypair:
    """Return the keypair of the vectors with this secret: c, s, e, f."""
    return read_keypair(key_text(KEYS[name]))


def with_known_salt(responder: Responder) -> FixedSalt:
    """Return a responder whose R is that of the vectors, so that a whole session comes out the known one."""
    return FixedSalt(responder, KEYS["R"])
