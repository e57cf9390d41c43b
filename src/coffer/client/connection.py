"""A TCP connection to a server, made before a deadline.

Not here: what is said on it (``exchange``). This module is on the way of ``coffer-client run``: ``socket`` would
cost it 4 ms for names of constants, so it uses ``_socket``, which does the work for both.

Rule 1: everything counts against the deadline, looking up the name too, though a resolver knows no deadline.
"""

from __future__ import annotations

import _socket
import os
import time

from coffer.errors import FetchError, UnreachableError

from .verdict import CLOSED, no_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .address import Address

    # family, type, protocol, canonical name, socket address: a row of getaddrinfo
    Place = tuple[int, int, int, str, Any]

RUNNING = "is coffer-server running there, and does it listen on that address?"
BLOCKED = "is the host up, and does a firewall in between let this port through?"
NAMED = "is the host's name right, and the DNS server up?"


def connect(address: Address, deadline: float) -> _socket.socket:
    """Return a connected socket, closed on exec. Raises FetchError.

    A host may have several addresses; each is tried, and may take an equal part of the time that is left.
    """
    try:
        places = _resolve(address, deadline)
    except (OSError, UnicodeError) as error:
        raise no_connection(address, error) from None
    for number, place in enumerate(places):
        try:
            return _connect(place, remaining(deadline) / (len(places) - number))
        except OSError as error:
            problem = error
    raise no_connection(address, problem)


def remaining(deadline: float) -> float:
    """Return the seconds left until ``deadline`` on the monotonic clock; raise TimeoutError if there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def no_connection(address: Address, problem: OSError | UnicodeError) -> FetchError:
    """Return the error that says why there is no connection."""
    if isinstance(problem, ConnectionResetError):
        return no_answer(address, CLOSED)  # it did accept, and was gone before the kernel told us
    if isinstance(problem, TimeoutError):
        return UnreachableError(f"{address}: no connection in time", BLOCKED)
    if isinstance(problem, _socket.gaierror | UnicodeError):
        return UnreachableError(f"{address}: {getattr(problem, 'strerror', None) or 'not a host name'}", NAMED)
    hint = RUNNING if isinstance(problem, ConnectionRefusedError) else BLOCKED
    return UnreachableError(f"{address}: {os.strerror(problem.errno) if problem.errno else problem}", hint)


def _connect(place: Place, seconds: float) -> _socket.socket:
    family, kind, protocol, _, where = place
    connection = _socket.socket(family, kind, protocol)
    try:
        connection.settimeout(seconds)
        connection.connect(where)
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(address: Address, deadline: float) -> list[Place]:
    try:
        return _look_up(address, _socket.AI_NUMERICHOST)
    except (_socket.gaierror, UnicodeError):
        return _resolve_name(address, deadline)


def _resolve_name(address: Address, deadline: float) -> list[Place]:
    """Look a name up in a thread, for nothing else can stop waiting for the resolver."""
    import _thread

    found: list[list[Place] | OSError | UnicodeError] = []
    done = _thread.allocate_lock()
    done.acquire()

    def look_up() -> None:
        try:
            found.append(_look_up(address))
        except (OSError, UnicodeError) as error:
            found.append(error)
        finally:
            done.release()

    _thread.start_new_thread(look_up, ())
    if not done.acquire(timeout=remaining(deadline)):
        raise TimeoutError
    if isinstance(found[0], list):
        return found[0]
    raise found[0]


def _look_up(address: Address, flags: int = 0) -> list[Place]:
    # As bytes, an ASCII name does not go through the idna codec, whose tables take 5 ms to load.
    host = address.host.encode() if address.host.isascii() else address.host
    return _socket.getaddrinfo(host, address.port, 0, _socket.SOCK_STREAM, 0, flags)
