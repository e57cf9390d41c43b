"""The sealed definition file: header, box and armour. What stands inside is just bytes here."""

import base64
import struct
import textwrap
from typing import NamedTuple

from .boxes import blake, box, dh, public, unbox
from .fault import Fault
from .identity import strict_base64

MAGIC = b"COFFERD1"
BEGIN = "-----BEGIN COFFER DEFINITION-----"
END = "-----END COFFER DEFINITION-----"


class Header(NamedTuple):
    serial: int
    K: bytes
    S: bytes
    salt: bytes

    def pack(self) -> bytes:
        return MAGIC + struct.pack(">Q", self.serial) + self.K + self.S + self.salt


def parse_header(sealed: bytes) -> Header:
    if len(sealed) < 104 + 16 or not sealed.startswith(MAGIC):
        raise Fault("not a sealed definition")
    serial = int.from_bytes(sealed[8:16], "big")
    if not serial:
        raise Fault("a serial of 0")
    return Header(serial, sealed[16:48], sealed[48:80], sealed[80:104])


def seal(definition: bytes, k: bytes, S: bytes, serial: int, salt: bytes) -> bytes:
    header = Header(serial, public(k), S, salt).pack()
    return header + box(dh(S, k), blake(24, "def-non", header), definition)


def open_sealed(sealed: bytes, secret: bytes, trusted: bytes) -> bytes:
    """Open with ``s`` and the pinned K, or with ``k`` and S: the two ends must be exactly these."""
    header = parse_header(sealed)
    if {header.K, header.S} != {public(secret), trusted}:
        raise Fault("sealed by or for somebody else")
    return unbox(dh(trusted, secret), blake(24, "def-non", sealed[:104]), sealed[104:])


def armor(sealed: bytes) -> str:
    return "\n".join([BEGIN, *textwrap.wrap(base64.b64encode(sealed).decode(), 76), END, ""])


def dearmor(text: str) -> bytes:
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if len(lines) < 2 or lines[0] != BEGIN or lines[-1] != END:
        raise Fault("something else than a sealed definition")
    return strict_base64("".join(lines[1:-1]))
