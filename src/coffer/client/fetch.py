"""Fetching a shard: one key, one or more servers, and another try at what may pass.

Not here: one attempt (``exchange``), what its end means (``verdict``), the same without blocking (``aio``).

Rule 1: an attempt is a session of its own, with a key of its own, at one server; in a round each server has one.
Rule 2: the first authentic answer counts, be it a shard or KeyNotFound.
"""

from __future__ import annotations

import os
import time

from coffer.codec import decode
from coffer.errors import CofferError, SettingsError
from coffer.identity import load_keypair

from .address import Address, parse_addresses
from .exchange import ping, request
from .verdict import may_pass, read, sum_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypedDict, TypeVar, Unpack

    from coffer._core import Keypair
    from coffer.shard import Shard

    from .cache import Cache

    Answer = TypeVar("Answer")
    PathLike = str | os.PathLike[str]

    class Options(TypedDict, total=False):
        """What Client takes by name."""

        timeout: float
        retries: int
        passphrase: Callable[[], bytes] | None
        cache: PathLike | None
        max_stale: float
        offline: bool
        tell: Callable[[str], None] | None


TIMEOUT_SECONDS = 5.0
RETRIES = 2
PAUSE_SECONDS = 0.25
PAUSE_LIMIT_SECONDS = 4.0
MAX_STALE_SECONDS = 14 * 86_400.0


def fetch(server: str | Sequence[str] | None = None, key: PathLike | None = None, **options: Unpack[Options]) -> Shard:
    """Return the shard of the key in a key file, from the first of the servers that answers; see ``Client``."""
    return Client(server, key, **options).fetch()


class Client:
    """One key and the servers that may know it. Every ``fetch()`` asks anew.

    ``server`` is an address, ``coffer://ID@HOST:PORT``, or several: a list, or one text with commas; ``key`` is the
    path of a key file. What is left out comes from the environment: COFFER_SERVER, COFFER_KEY.

    ``timeout`` is in seconds, for one attempt at one server, from its name to its last byte; a round of attempts is
    made ``1 + retries`` times, if what failed may pass. ``passphrase`` is called when the key file is locked.

    ``cache`` is the path of a file that keeps the last shard, sealed to the key. It stands in when nobody answers,
    unless it is older than ``max_stale`` seconds, and ``tell`` is called with a line that says so (by default, a
    warning). With ``offline`` nobody is asked at all. Raises SettingsError and KeyFileError.
    """

    def __init__(
        self,
        server: str | Sequence[str] | None = None,
        key: PathLike | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        passphrase: Callable[[], bytes] | None = None,
        cache: PathLike | None = None,
        max_stale: float = MAX_STALE_SECONDS,
        offline: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        if not 0 < timeout < 86_400 or retries < 0 or not max_stale >= 0:
            raise ValueError("a timeout is more than 0 seconds and less than a day; all else is 0 or more")
        if offline and cache is None:
            raise ValueError("offline, there is only a cache to take the shard from")
        self._servers = _find_servers(server)
        self._keypair = load_keypair(_find_key(key), passphrase)
        self._timeout = timeout
        self._retries = retries
        self._offline = offline
        self._cache = None if cache is None else self._open_cache(os.fspath(cache), max_stale, tell)

    def fetch(self) -> Shard:
        """Return the shard. Raises FetchError, or PeerError when what came was no answer."""
        if self._offline:
            return self._recall()
        try:
            return self.ask()
        except CofferError as error:
            return self._stand_in(error)

    def ask(self) -> Shard:
        """Return the shard as a server has it now, whatever the cache holds. Raises as ``fetch`` does."""
        return self._accept(*self._first_answer(request))

    def ping(self) -> tuple[Address, float]:
        """Return the server that knows this key, and after how many seconds it had proved itself."""
        return self._first_answer(ping)

    def _accept(self, address: Address, response: bytes) -> Shard:
        """Return the shard in a response, once it is in the cache. Raises FrameError."""
        shard = read(response, address)
        if self._cache:
            self._cache.keep(response, address.server)
        return shard

    def _stand_in(self, error: CofferError) -> Shard:
        """Return the shard in the cache if that may stand in for the answer; raise ``error`` otherwise."""
        if self._cache is None:
            raise error
        return decode(self._cache.stand_in(error))

    def _recall(self) -> Shard:
        """Return the shard in the cache. Raises OperatorError."""
        assert self._cache is not None
        return decode(self._cache.recall("offline"))

    def _open_cache(self, path: str, max_stale: float, tell: Callable[[str], None] | None) -> Cache:
        from .cache import Cache

        return Cache(path, self._keypair, {address.server for address in self._servers}, max_stale, tell)

    def _first_answer(self, ask: Callable[[Address, Keypair, float], Answer]) -> tuple[Address, Answer]:
        errors: list[CofferError] = []
        for address, pause in attempts(self._servers, self._retries):
            time.sleep(pause)
            try:
                return address, ask(address, self._keypair, self._timeout)
            except CofferError as error:
                errors = keep(errors, error, len(self._servers))
        raise sum_up(errors)


def _find_servers(server: str | Sequence[str] | None) -> list[Address]:
    if server is None:
        server = os.environ.get("COFFER_SERVER", "")
    given = parse_addresses(server if isinstance(server, str) else ",".join(server))
    if not given:
        raise SettingsError("no server", "--server coffer://SERVER-ID@HOST:PORT, or the same in COFFER_SERVER")
    return given


def _find_key(key: PathLike | None) -> str:
    path = os.fspath(key) if key is not None else os.environ.get("COFFER_KEY", "")
    if not path:
        raise SettingsError("no key file", "--key FILE, or COFFER_KEY; coffer-companion keygen -o FILE makes one")
    return path


def attempts(servers: Sequence[Address], retries: int) -> Iterator[tuple[Address, float]]:
    """Yield whom to ask and how many seconds to wait before: none in a round, full jitter between two."""
    for number in range(retries + 1):
        pause = _pause(number) if number else 0.0
        for address in servers:
            yield address, pause
            pause = 0.0


def keep(errors: list[CofferError], error: CofferError, servers: int) -> list[CofferError]:
    """Return the last error of each server, this one now; raise it if another attempt is no use."""
    if not may_pass(error):
        raise error
    return [*errors, error][-servers:]


def _pause(number: int) -> float:
    from random import uniform

    return uniform(0, min(PAUSE_LIMIT_SECONDS, PAUSE_SECONDS * 2 ** min(number, 10)))
