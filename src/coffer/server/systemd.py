"""What systemd and a service tell each other: inherited sockets, readiness, the watchdog. Nothing is needed of it.

The conventions are those of sd_listen_fds(3) and sd_notify(3).
"""

from __future__ import annotations

import os
import socket
import time

from coffer.errors import SettingsError
from coffer.server import listeners

FIRST_FD = 3


def inherited_listeners() -> list[socket.socket]:
    """Return the listening sockets that systemd opened for this very process, or none. They do not block.

    Raises SettingsError for anything that is no listening TCP socket.
    """
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return []
    return [_inherit(fd) for fd in range(FIRST_FD, FIRST_FD + int(count))]


def _inherit(fd: int) -> socket.socket:
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingsError(f"$LISTEN_FDS: descriptor {fd}: {error.strerror}") from None
    if not listens or sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
        sock.close()
        raise SettingsError(f"$LISTEN_FDS: descriptor {fd}: not a listening TCP socket", "ListenStream=26333")
    listeners.prepare(sock)
    return sock


def notify(state: str) -> None:
    """Tell the service manager, if there is one, a state such as ``READY=1``. Never fails, and never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), socket.MSG_DONTWAIT, "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return


def notify_reloading() -> None:
    """Tell the service manager that a reload began; READY=1 ends it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_seconds() -> float | None:
    """Return how often the service manager wants to hear from this very process, or None."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or not int(microseconds):
        return None
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000
