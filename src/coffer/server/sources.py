"""What one source address may do: so many connections at once, so many failing Hellos a second.

A source is an IPv4 address or an IPv6 network of 64 bits, which is what one customer is given. Behind a proxy
or NAT all clients are one source.

Rule 1: an empty bucket is found before any X25519 is spent, on accept.
Rule 2: the table is bounded; when it is full of sources in use, further ones are served and not counted.
"""

from __future__ import annotations

from socket import AF_INET6, inet_ntop, inet_pton

SOURCES_LIMIT = 65_536
ONE_SOURCE = "behind a proxy or NAT all clients are one source"
MAPPED = bytes(10) + b"\xff\xff"


class Source:
    """One address: how many connections it has, and what is left of its allowance of failing Hellos."""

    __slots__ = ("connections", "name", "since", "tokens")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        self.tokens: float | None = None
        self.since = 0.0


class Sources:
    """Every source that is connected or has lately failed. Zero for a limit turns it off."""

    def __init__(
        self, most_connections: int, rate: float, burst: float, limit: int = SOURCES_LIMIT
    ) -> None:
        self._most = most_connections
        self._rate = rate
        self._burst = burst
        self._limit = limit
        self._known: dict[str, Source] = {}

    def __len__(self) -> int:
        return len(self._known)

    def enter(self, address: str) -> Source:
        """Count one more connection of the source of ``address``."""
        name = _network(address) if ":" in address else address
        source = self._known.get(name)
        if source is None:
            source = Source(name)
            if len(self._known) < self._limit:
                self._known[name] = source
        source.connections += 1
        return source

    def refusal(self, source: Source, moment: float) -> str | None:
        """Why this source's newest connection is not to be served, or None."""
        if self._most and source.connections > self._most:
            return f"over {self._most} connections from one source (--max-connections-per-source; {ONE_SOURCE})"
        if source.tokens is not None and self._refill(source, moment) < 1:
            return f"too many failing Hellos from one source (--failing-hellos-per-source; {ONE_SOURCE})"
        return None

    def leave(self, source: Source) -> None:
        """Count one connection less."""
        source.connections -= 1
        if not source.connections and source.tokens is None:
            self._forget_one(source)

    def charge(self, source: Source, moment: float) -> None:
        """Take one failing Hello from the source's allowance."""
        if self._rate:
            left = self._burst if source.tokens is None else self._refill(source, moment)
            source.tokens, source.since = left - 1, moment

    def forget(self, moment: float) -> None:
        """Drop the sources that are gone and have their whole allowance back. To be called now and then."""
        for source in list(self._known.values()):
            if source.tokens is not None and self._refill(source, moment) >= self._burst:
                source.tokens = None
            if not source.connections and source.tokens is None:
                self._forget_one(source)

    def _forget_one(self, source: Source) -> None:
        if self._known.get(source.name) is source:
            del self._known[source.name]

    def _refill(self, source: Source, moment: float) -> float:
        assert source.tokens is not None
        source.tokens = min(self._burst, source.tokens + (moment - source.since) * self._rate)
        source.since = moment
        return source.tokens


def _network(address: str) -> str:
    """The first 64 bits of an IPv6 address, or the IPv4 address mapped into it."""
    packed = inet_pton(AF_INET6, address.partition("%")[0])
    if packed.startswith(MAPPED):
        return ".".join(map(str, packed[len(MAPPED) :]))
    return inet_ntop(AF_INET6, packed[:8] + bytes(8)) + "/64"
