"""One session over one connection, to its end or a deadline.

Not here: what the end means (``verdict``), and trying again (``fetch``).

Rule 1: once the answer is whole the shard counts; what becomes of Bye is the server's loss.
Rule 2: the client closes first, so that TIME_WAIT stays with it.
"""

from __future__ import annotations

import time

from coffer.protocol import ClientSession

from .connection import connect, remaining
from .verdict import CLOSED, LATE, judge, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from coffer._core import Keypair

    from .address import Address

PIECE_BYTES = 65_536


def request(address: Address, keypair: Keypair, seconds: float) -> bytes:
    """Return the coffer response. Raises FetchError, and PeerError for an answer that is none."""
    session = _converse(ClientSession(keypair, address.server), address, keypair, seconds)
    assert session.response is not None
    return session.response


def ping(address: Address, keypair: Keypair, seconds: float) -> float:
    """Return how many seconds passed until the server had proved itself and known us. Raises like ``request``."""
    start = time.monotonic()
    _converse(ClientSession(keypair, address.server, ask=False), address, keypair, seconds)
    return time.monotonic() - start


def _converse(session: ClientSession, address: Address, keypair: Keypair, seconds: float) -> ClientSession:
    deadline = time.monotonic() + seconds
    connection = connect(address, deadline)
    try:
        ended = _run(session, address, connection, deadline)
    finally:
        connection.close()
    judge(session, address, keypair.public, ended)
    return session


def _run(session: ClientSession, address: Address, connection: _socket.socket, deadline: float) -> str | None:
    """Drive the session; say how the stream ended if that was before the session did."""
    reply = session.hello
    try:
        while reply or not session.closed:
            connection.settimeout(remaining(deadline))
            if reply:
                connection.sendall(reply)
            if session.closed:
                return None
            connection.settimeout(remaining(deadline))
            data = connection.recv(PIECE_BYTES)
            if not data:
                return CLOSED
            reply = receive(session, data, address)
    except TimeoutError:
        return None if session.closed else LATE
    except OSError:
        return None if session.closed else CLOSED
    return None
