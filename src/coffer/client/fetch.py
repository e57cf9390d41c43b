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
from .verdict import may_pass, sum_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from coffer.shard import Shard

    Answer = TypeVar("Answer")

TIMEOUT_SECONDS = 5.0
RETRIES = 2
PAUSE_SECONDS = 0.25
PAUSE_LIMIT_SECONDS = 4.0


def fetch(
    server: str | Sequence[str] | None = None,
    key: str | os.PathLike[str] | None = None,
    *,
    timeout: float = TIMEOUT_SECONDS,
    retries: int = RETRIES,
    passphrase: Callable[[], bytes] | None = None,
) -> Shard:
    """Return the shard of the key in a key file, from the first of the servers that answers; see ``Client``."""
    return Client(server, key, timeout=timeout, retries=retries, passphrase=passphrase).fetch()


class Client:
    """One key and the servers that may know it. Every ``fetch()`` asks anew.

    ``server`` is an address, ``coffer://ID@HOST:PORT``, or several: a list, or one text with commas. What is left
    out comes from the environment: COFFER_SERVER, COFFER_KEY. ``timeout`` is in seconds, for one attempt at one
    server, from its name to its last byte; a round of attempts is made ``1 + retries`` times. ``passphrase`` is
    called when the key file is locked with one. Raises SettingsError and KeyFileError.
    """

    def __init__(
        self,
        server: str | Sequence[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        passphrase: Callable[[], bytes] | None = None,
    ) -> None:
        if not 0 < timeout < 86_400 or retries < 0:
            raise ValueError("a timeout is more than 0 seconds and less than a day; retries are 0 or more")
        self.servers = find_servers(server)
        self.keypair = load_keypair(_find_key(key), passphrase)
        self.timeout = timeout
        self.retries = retries

    def fetch(self) -> Shard:
        """Return the shard. Raises FetchError, or PeerError when what came was no answer."""
        return decode(self._first_answer(request))

    def ping(self) -> tuple[Address, float]:
        """Return the server that knows this key, and after how many seconds it had proved itself."""
        return self._first_answer(lambda address, *with_what: (address, ping(address, *with_what)))

    def _first_answer(self, ask: Callable[..., Answer]) -> Answer:
        errors: list[CofferError] = []
        for address, pause in attempts(self.servers, self.retries):
            time.sleep(pause)
            try:
                return ask(address, self.keypair, self.timeout)
            except CofferError as error:
                errors = keep(errors, error, len(self.servers))
        raise sum_up(errors)


def find_servers(server: str | Sequence[str] | None) -> list[Address]:
    """Return the addresses given, or those in the environment. Raises SettingsError."""
    if server is None:
        server = os.environ.get("COFFER_SERVER", "")
    given = parse_addresses(server if isinstance(server, str) else ",".join(server))
    if not given:
        raise SettingsError("no server", "--server coffer://SERVER-ID@HOST:PORT, or the same in COFFER_SERVER")
    return given


def _find_key(key: str | os.PathLike[str] | None) -> str:
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
