"""The sealed definition: a text that anyone may keep, and only one server and one companion can open.

Not here: what the definition says (``definition``), and reading or replacing files, which programs do.

Rule 1: nothing is opened before the header named this server and a companion that it trusts.
Rule 2: the header is authentic because the nonce is its hash (docs/protocol.md, Sealed definition).
"""

from __future__ import annotations

import binascii
import os
import struct

from coffer._core import Box, Keypair, blake
from coffer.errors import EnvelopeError, OpenError
from coffer.identity import format_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

BEGIN = b"-----BEGIN COFFER DEFINITION-----"
END = b"-----END COFFER DEFINITION-----"
MAGIC = b"COFFERD1"
SERIAL_LIMIT = 2**64 - 1
LINE_LETTERS = 76
# Base64 and its line ends take 4/3 x 78/76 with CRLF; the rest is for header, MAC, the two lines around, blank lines.
ARMOUR_FACTOR = 1.4
ARMOUR_BYTES = 4096
_LAYOUT = struct.Struct(">8sQ32s32s24s")
HEADER_BYTES = _LAYOUT.size
_COPY_HINT = "copy it again, whole"
_SEAL_HINT = "coffer-companion seal makes one of a definition in clear"


class Envelope:
    """A sealed definition before it is opened: what its header claims, to be believed once it opens."""

    __slots__ = ("companion", "sealed", "serial", "server", "source")

    def __init__(self, sealed: bytes, source: str) -> None:
        """``sealed`` is header and box; ``source`` names the file in errors. Raises EnvelopeError."""
        if len(sealed) < HEADER_BYTES + 16:
            raise EnvelopeError(f"{source}: too short for a sealed definition", _COPY_HINT)
        magic, self.serial, self.companion, self.server, _ = _LAYOUT.unpack(sealed[:HEADER_BYTES])
        if magic != MAGIC:
            raise EnvelopeError(f"{source}: not a sealed definition of this version of coffer")
        if not self.serial:
            raise EnvelopeError(f"{source}: its serial is 0, and they start at 1")
        self.sealed = sealed
        self.source = source

    @property
    def digest(self) -> bytes:
        """32 bytes that name exactly these sealed bytes."""
        return blake(32, b"sealed", self.sealed)

    def open_as_server(self, keypair: Keypair, companions: Collection[bytes]) -> bytes:
        """Return the definition, TOML in UTF-8. Raises EnvelopeError unless it is for us, from one we trust."""
        if self.server != keypair.public:
            raise EnvelopeError(
                f"{self.source}: sealed for server {format_id(self.server)}, not for this one",
                f"seal it with --server {format_id(keypair.public)}",
            )
        if self.companion not in companions:
            raise EnvelopeError(
                f"{self.source}: sealed by companion {format_id(self.companion)}, whom nobody told us to trust",
                "if that is your companion, name it with --companion",
            )
        return self._open(keypair, self.companion)

    def open_as_companion(self, keypair: Keypair) -> bytes:
        """Return the definition that this companion sealed itself. Raises EnvelopeError."""
        if self.companion != keypair.public:
            raise EnvelopeError(
                f"{self.source}: sealed by companion {format_id(self.companion)}, which is not this key",
                "--key names the key file of that companion",
            )
        return self._open(keypair, self.server)

    def _open(self, keypair: Keypair, other: bytes) -> bytes:
        header, box = self.sealed[:HEADER_BYTES], self.sealed[HEADER_BYTES:]
        try:
            return Box(keypair, other).open(box, blake(24, b"def-non", header))
        except OpenError:
            raise EnvelopeError(f"{self.source}: altered or damaged: it does not open", _COPY_HINT) from None


def seal(
    definition: bytes, keypair: Keypair, server: bytes, serial: int, *, salt: bytes | None = None
) -> Envelope:
    """Return the definition sealed by this companion for that server. Raises OpenError for a low-order server.

    ``salt`` is 24 new random bytes unless a known-answer test hands them in; ``serial`` is 1 to 2^64 - 1.
    """
    if not 1 <= serial <= SERIAL_LIMIT:
        raise ValueError("a serial is 1 to 2^64 - 1")
    header = _LAYOUT.pack(MAGIC, serial, keypair.public, server, salt or os.urandom(24))
    box = Box(keypair, server).seal(definition, blake(24, b"def-non", header))
    return Envelope(header + box, "the definition just sealed")


def format_armour(envelope: Envelope) -> bytes:
    """Return the sealed definition as the text that is mailed, pasted and kept in git."""
    letters = binascii.b2a_base64(envelope.sealed, newline=False)
    lines = [letters[at : at + LINE_LETTERS] for at in range(0, len(letters), LINE_LETTERS)]
    return b"\n".join([BEGIN, *lines, END, b""])


def armour_limit(limit_bytes: int) -> int:
    """Return how many bytes a sealed definition may have on disk whose text has at most ``limit_bytes``."""
    return int(limit_bytes * ARMOUR_FACTOR) + ARMOUR_BYTES


def parse_armour(text: bytes, source: str) -> Envelope:
    """Return the envelope in ``text``: LF or CRLF and blank lines, nothing else around. Raises EnvelopeError."""
    lines = [line for line in (raw.removesuffix(b"\r") for raw in text.split(b"\n")) if line]
    if not lines:
        raise EnvelopeError(f"{source}: empty", _COPY_HINT)
    if lines[0] != BEGIN:
        raise EnvelopeError(f"{source}: not a sealed definition: it begins with {BEGIN.decode()}", _SEAL_HINT)
    if lines[-1] != END:
        raise EnvelopeError(f"{source}: cut off: a sealed definition ends with {END.decode()}", _COPY_HINT)
    letters = b"".join(lines[1:-1])
    try:
        sealed = binascii.a2b_base64(letters, strict_mode=True)
    except binascii.Error:
        raise EnvelopeError(f"{source}: damaged: between its first and last line is no base64", _COPY_HINT) from None
    if binascii.b2a_base64(sealed, newline=False) != letters:
        raise EnvelopeError(f"{source}: damaged: its base64 is not canonical", _COPY_HINT)
    return Envelope(sealed, source)
