"""Values as short keyed hashes: two that are equal look equal, and nobody without the key can guess what they are."""

from __future__ import annotations

import hashlib
import os

from coffer._core import Box, Keypair, blake
from coffer.shard import format_value, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer.shard import Value

DIGEST_BYTES = 4


class Digests:
    """Hashes under a key of the companion's or, without a companion, of this run of the program."""

    def __init__(self, keypair: Keypair | None) -> None:
        self._key = _derive(keypair) if keypair else os.urandom(32)

    def of(self, value: Value) -> str:
        """Return eight hexadecimal digits. A number and the text of it are different values."""
        text = f"{kind_of(value)}:{format_value(value)}".encode()
        return hashlib.blake2b(text, digest_size=DIGEST_BYTES, key=self._key).hexdigest()


def _derive(keypair: Keypair) -> bytes:
    """Return 32 bytes that only this companion can know: keystream of a box to itself, used for nothing else."""
    return Box(keypair, keypair.public).seal(bytes(32), blake(24, b"digests", b""))[16:]
