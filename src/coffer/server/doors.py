"""The listening sockets of a worker: accepting from them, and leaving them alone for a while.

All workers accept from the same sockets, so what one leaves in the queue is there for the others.

Rule 1: out of descriptors, one connection is reset in the place of a spare one and the rest waits 50 ms:
nothing spins, and nothing fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from selectors import EVENT_READ

from coffer.server.deadlines import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from selectors import BaseSelector

RESET = struct.pack("ii", 1, 0)
STREAM = int(socket.SOCK_STREAM)
ACCEPT_BATCH = 64
PAUSE_SECONDS = 0.05
FULL = (errno.EMFILE, errno.ENFILE)
SHORT_OF_MEMORY = (errno.ENOBUFS, errno.ENOMEM)
# Our own mistakes; every other error of accept() is about a connection that was gone before it was accepted.
OURS = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)


class Door:
    """A listening socket, its family as the plain number that a new socket is made with."""

    __slots__ = ("family", "socket")

    def __init__(self, listener: socket.socket) -> None:
        self.socket = listener
        self.family = int(listener.family)


class Doors:
    """All doors together, open from the start. ``waits_for_room`` is true while only a free place is missing."""

    def __init__(
        self,
        listeners: list[socket.socket],
        selector: BaseSelector,
        has_room: Callable[[], bool],
        greet: Callable[[socket.SocketType, str], None],
    ) -> None:
        """``has_room`` is asked before each accept, ``greet`` is given each connection and its address."""
        self._doors = [Door(listener) for listener in listeners]
        self._selector = selector
        self._has_room = has_room
        self._greet = greet
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._are_open = False
        self.opens_at: float | None = None
        self.waits_for_room = False
        self.open()

    def open(self) -> None:
        """Accept connections from now on."""
        self.opens_at, self.waits_for_room = None, False
        if not self._are_open:
            for door in self._doors:
                self._selector.register(door.socket, EVENT_READ, (self._accept_batch, door))
            self._are_open = True

    def shut(self) -> None:
        """Leave the queue alone."""
        if self._are_open:
            for door in self._doors:
                self._selector.unregister(door.socket)
            self._are_open = False

    def close(self) -> None:
        """Accept what is queued, and then nothing more, ever."""
        for door in self._doors:
            for _ in range(socket.SOMAXCONN):  # no queue is longer; whoever comes later finds nobody
                if not self._accept(door):
                    break
        self.shut()
        for door in self._doors:
            door.socket.close()
        self._doors = []
        self.opens_at, self.waits_for_room = None, False

    def _accept_batch(self, door: Door) -> None:
        for _ in range(ACCEPT_BATCH):
            if not self._are_open or not self._accept(door):  # shut, perhaps, in this very round of events
                return

    def _accept(self, door: Door) -> bool:
        """Accept one connection; False when there is none, or it has to wait."""
        if not self._has_room():
            self.shut()
            self.waits_for_room = True
            return False
        try:
            # What socket.accept() does, less its wrapping: measured, that takes 6 us more a session.
            fd, address = door.socket._accept()  # type: ignore[attr-defined]
            sock = socket.SocketType(door.family, STREAM, 0, fd)
        except BlockingIOError:
            return False
        except OSError as error:
            return self._survive(door, error)
        self._greet(sock, address[0])
        return True

    def _survive(self, door: Door, error: OSError) -> bool:
        """Out of descriptors or memory: turn one away and leave the rest for later."""
        if error.errno in OURS:
            raise error
        if error.errno not in FULL + SHORT_OF_MEMORY:
            return True
        if error.errno in FULL:
            self._shed(door)
        self.shut()
        self.opens_at = now() + PAUSE_SECONDS
        return False

    def _shed(self, door: Door) -> None:
        """Reset one queued connection, in the place of the spare descriptor."""
        with contextlib.suppress(OSError):  # no spare, or nobody in the queue any more
            os.close(self._spare)
            reset(door.socket.accept()[0])
        self._spare = -1
        with contextlib.suppress(OSError):  # another process was faster, if it is the machine that is full
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def reset(sock: socket.SocketType) -> None:
    """Close a connection so that the other end sees a reset, and no TIME_WAIT stays here."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    finally:
        sock.close()
