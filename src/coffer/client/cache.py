"""The last shard, kept on disk for a start when nobody answers: sealed by the client's key to the client's key.

Not here: fetching (``fetch``, ``aio``).

Rule 1: the header is authentic because the nonce is its hash (docs/protocol.md, Client cache).
Rule 2: a cache is of one client and one server; whoever changes either starts without one.
Rule 3: it stands in only when nobody answers. Who answers, be it with KeyNotFound, is believed.
"""

from __future__ import annotations

import os
import time

from coffer._core import Box, Keypair, blake
from coffer.errors import (
    CofferError,
    CutError,
    NoAnswerError,
    OpenError,
    OperatorError,
    RefusedError,
    UnreachableError,
)
from coffer.files import load, save
from coffer.identity import format_id
from coffer.message import SHARD_LIMIT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FAMILY = b"COFFERC"
MAGIC = FAMILY + b"1"
SALT_BYTES = 24
MAC_BYTES = 16
# magic || saved at, u64 || S, 32 || C, 32 || salt
HEADER_BYTES = 8 + 8 + 32 + 32 + SALT_BYTES
LIMIT_BYTES = HEADER_BYTES + MAC_BYTES + SHARD_LIMIT_BYTES
SKEW_SECONDS = 300


class Cache:
    """The cache file of one key. ``tell`` is called with a line whenever it stands in, or cannot be kept."""

    def __init__(
        self,
        path: str,
        keypair: Keypair,
        servers: Collection[bytes],
        max_stale: float,
        tell: Callable[[str], None] | None,
    ) -> None:
        self._path = path
        self._keypair = keypair
        self._servers = servers
        self._max_stale = max_stale
        self._tell = tell or _warn

    def keep(self, response: bytes, server: bytes) -> None:
        """Replace the file, mode 0600. That this fails is told; it is no reason to go without the shard."""
        try:
            self._check_place()
            save(self._path, seal(response, self._keypair, server, int(time.time())))
        except OperatorError as problem:
            self._tell(f"the cache is not kept: {problem}")

    def _check_place(self) -> None:
        """Refuse a file that somebody has for something else."""
        if os.path.exists(self._path):
            there = load(self._path, LIMIT_BYTES)
            if there and not there.startswith(FAMILY):
                raise OperatorError(f"{self._path}: not a cache, so it is left as it is")

    def stand_in(self, error: CofferError) -> bytes:
        """Return the kept response if ``error`` says that nobody answered; raise it otherwise, or if there is none."""
        if isinstance(error, RefusedError) and error.reason is None and os.path.exists(self._path):
            error.hint = f"{error.hint}; what was its shard is still in its cache, and this deletes it: rm {self._path}"
        if not isinstance(error, UnreachableError | NoAnswerError | CutError):
            raise error
        try:
            return self.recall(str(error))
        except OperatorError as problem:
            error.args = (f"{error}; and no cache can stand in: {problem}",)
            raise error from None

    def recall(self, why: str) -> bytes:
        """Return the kept response; tell why, and how old it is. Raises OperatorError."""
        response, saved_at = unseal(load(self._path, LIMIT_BYTES), self._path, self._keypair, self._servers)
        age = time.time() - saved_at
        if age < -SKEW_SECONDS:
            raise OperatorError(f"{self._path}: saved in the future", "is the clock of this machine right?")
        if age > self._max_stale:
            raise OperatorError(f"{self._path}: {format_age(age)} old, which is over {format_age(self._max_stale)}")
        self._tell(f"{why}: going on with {self._path}, which is {format_age(age)} old")
        return response


def seal(response: bytes, keypair: Keypair, server: bytes, saved_at: int, *, salt: bytes | None = None) -> bytes:
    """Return a coffer response as a cache. ``salt`` is new unless a known-answer test hands it in."""
    header = MAGIC + saved_at.to_bytes(8, "big") + server + keypair.public + (salt or os.urandom(SALT_BYTES))
    return header + Box(keypair, keypair.public).seal(response, blake(24, b"cache", header))


def unseal(sealed: bytes, path: str, keypair: Keypair, servers: Collection[bytes]) -> tuple[bytes, int]:
    """Return the response in a cache, and when it was saved. Raises OperatorError unless it is of these keys."""
    header, box = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
    if not sealed.startswith(MAGIC) or len(box) < MAC_BYTES:
        raise OperatorError(f"{path}: not a cache of this version of coffer-client")
    saved_at, server, client = int.from_bytes(header[8:16], "big"), header[16:48], header[48:80]
    if client != keypair.public:
        raise OperatorError(f"{path}: it belongs to client {format_id(client)}, which is not this key")
    if server not in servers:
        raise OperatorError(f"{path}: it comes from server {format_id(server)}, which nobody named")
    try:
        return Box(keypair, keypair.public).open(box, blake(24, b"cache", header)), saved_at
    except OpenError:
        raise OperatorError(f"{path}: altered or damaged: it does not open") from None


def format_age(seconds: float) -> str:
    """Return ``40 s``, ``12 min``, ``3 h`` or ``20 days``."""
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{max(0.0, seconds) // size:.0f} {unit}"
    return f"{seconds // 86_400:.0f} days"


def _warn(text: str) -> None:
    from warnings import warn

    warn(text, stacklevel=5)
