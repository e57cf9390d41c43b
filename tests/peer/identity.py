"""Ids, server addresses and key files.

The rule about symbolic links to key files is not here: it is about a machine, not about bytes.
"""

import base64
import binascii
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from nacl import bindings, exceptions

from .boxes import blake, public
from .fault import Fault

ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
LIMIT_BYTES = 4096
PORT = 26333
PRIME = 2**255 - 19
PREFIX = "coffer-secret-key-1:"


def format_id(key: bytes) -> str:
    text = base64.b32encode(key + blake(3, "id", key)).decode()
    return "-".join(text[at : at + 4] for at in range(0, 56, 4))


def parse_id(text: str) -> bytes:
    """Return the public key of an id; the checks run in the order of the protocol page."""
    plain = re.sub("[a-z]", lambda letter: letter[0].upper(), text.replace("-", "").replace(" ", ""))
    if not ALPHABET.issuperset(plain):
        raise Fault("a character that base32 lacks")
    if len(plain) != 56:
        raise Fault("a wrong length")
    data = base64.b32decode(plain)
    key, checksum = data[:32], data[32:]
    if checksum != blake(3, "id", key):
        raise Fault("a wrong checksum")
    return checked_key(key)


def checked_key(key: bytes) -> bytes:
    if int.from_bytes(key, "little") >= PRIME:
        raise Fault("a non-canonical key")
    try:
        bindings.crypto_scalarmult(bytes(32), key)
    except exceptions.RuntimeError:
        raise Fault("a low-order key") from None
    return key


class Address(NamedTuple):
    """Where a server is and which public key it must prove."""

    S: bytes
    host: str
    port: int


def parse_address(text: str) -> Address:
    match = re.fullmatch(r"coffer://([^@]+)@(?:\[([0-9A-Fa-f:.]+)\]|([^:@\[\]/]+))(?::([0-9]{1,5}))?", text)
    if not match:
        raise Fault("a server address is coffer://ID@HOST[:PORT]")
    text_id, six, host, port = match.groups()
    return Address(parse_id(text_id), six or host, int(port or PORT))


def save_key(path: Path, secret: bytes) -> str:
    """Write a new key file and return its id."""
    text_id = format_id(public(secret))
    text = f"# coffer key\n# id: {text_id}\n{PREFIX}{base64.b64encode(secret).decode()}\n"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return text_id


def load_key(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        private = status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o077
        if not stat.S_ISREG(status.st_mode) or not private:
            raise Fault(f"{path}: not a private file of the reader or root")
        return parse_key(file.read(LIMIT_BYTES + 1))


def parse_key(data: bytes) -> bytes:
    """Return the secret key in the text of a key file."""
    if len(data) > LIMIT_BYTES:
        raise Fault("a key file of more than 4 KiB")
    try:
        lines = [line for line in data.decode().split("\n") if line and not line.startswith("#")]
    except UnicodeDecodeError:
        raise Fault("a key file that is not UTF-8") from None
    if len(lines) != 1 or not lines[0].startswith(PREFIX):
        raise Fault("a key file without exactly one key line")
    return strict_base64(lines[0].removeprefix(PREFIX), size=32)


def strict_base64(text: str, size: int | None = None) -> bytes:
    """Decode what encodes back to the same text: no other characters, no spare bits."""
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except binascii.Error:
        raise Fault("not base64") from None
    if base64.b64encode(data).decode() != text or size not in (None, len(data)):
        raise Fault("not base64 in its one form, or of another length")
    return data
