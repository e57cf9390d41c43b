"""The listening sockets: what HOST:PORT means, opening them, and how they are shown.

Not here: those that the service manager opened (``systemd``), and accepting from them (``doors``).
"""

from __future__ import annotations

import errno
import socket

from coffer.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME_HINT = "mend the name, or write the address itself: 0.0.0.0:26333"
HINTS: dict[int | None, str] = {
    errno.EADDRINUSE: "another server runs there, perhaps this one: ss -ltnp shows which",
    errno.EADDRNOTAVAIL: "this machine has no such address: ip address shows those that it has",
    errno.EACCES: "a port below 1024 takes a right, CAP_NET_BIND_SERVICE; 26333 takes none",
}


def resolve(text: str) -> list[tuple[int, Any]]:
    """Return family and address of everything that ``HOST:PORT`` means. Raises SettingsError."""
    host, _, port = text.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except UnicodeError:
        raise SettingsError(f"--listen: {text!r}: no name of a host", NAME_HINT) from None
    except OSError as error:
        raise SettingsError(f"--listen: {text}: {error.strerror}", NAME_HINT) from None
    return list(dict.fromkeys((int(one[0]), one[4]) for one in found))


def bind(text: str) -> list[socket.socket]:
    """Return non-blocking listening sockets on ``HOST:PORT``: one for each address of the name."""
    try:
        return [_listen(family, address) for family, address in resolve(text)]
    except OSError as error:
        raise SettingsError(f"--listen: {text}: {error.strerror}", HINTS.get(error.errno)) from None


def _listen(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        prepare(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(socket.SOMAXCONN)
    except OSError:
        sock.close()
        raise
    return sock


def prepare(listener: socket.socket) -> None:
    """Make a listening socket, whoever opened it, what a worker wants: it never blocks, and no answer is held back."""
    listener.setblocking(False)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what is accepted from here on


def format_address(listener: socket.socket) -> str:
    """``HOST:PORT`` of a listening socket, an IPv6 address in brackets."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
