"""Where a server is, and which key it must prove: ``coffer://ID@HOST[:PORT]``.

Not here: finding out what a host name stands for (``connection``).
"""

from __future__ import annotations

from coffer.errors import IdError, SettingsError
from coffer.identity import parse_id

PORT = 26333
SCHEME = "coffer://"


class Address:
    """One server: the public key it must prove (32 bytes), and the host and port it listens on."""

    __slots__ = ("host", "port", "server")

    def __init__(self, server: bytes, host: str, port: int = PORT) -> None:
        self.server = server
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Address {self}>"


def parse_address(text: str) -> Address:
    """Return the address that ``text`` stands for. Raises SettingsError."""
    id_text, at, place = text.removeprefix(SCHEME).partition("@")
    if not text.startswith(SCHEME) or not at:
        raise SettingsError(f"server {text!r}: not a server's address", f"it reads {SCHEME}SERVER-ID@HOST:PORT")
    try:
        server = parse_id(id_text)
    except IdError as error:
        raise SettingsError(f"server {text!r}: its id: {error}", "coffer-companion id FILE prints it") from None
    return Address(server, *_parse_place(text, place))


def parse_addresses(text: str) -> list[Address]:
    """Return the addresses in a list with commas. Raises SettingsError."""
    return [parse_address(each) for each in map(str.strip, text.split(",")) if each]


def _parse_place(text: str, place: str) -> tuple[str, int]:
    if place.startswith("["):
        host, closed, port = place[1:].partition("]")
        fault = not closed or ":" not in host or (port and not port.startswith(":"))
        port = port[1:] if port else str(PORT)
    else:
        host, colon, port = place.partition(":")
        fault = ":" in port
        port = port if colon else str(PORT)
    if fault or not _is_host(host):
        raise SettingsError(f"server {text!r}: no host after the @", "a name, an IPv4 address, or [IPv6]")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise SettingsError(f"server {text!r}: {port!r} is not a port", "a number from 1 to 65535")
    return host, int(port)


def _is_host(host: str) -> bool:
    return bool(host) and host.isprintable() and not any(each in host for each in " /?#[]@\\\"'")
