"""The connection loop: many sockets, one thread, nothing that blocks.

It never sees the protocol. It is given a factory of conversations, feeds each what its socket brings, sends
what it answers, and closes as it says. What a conversation must have is ``Conversation``.

Rule 1: whoever errs is reset, in the same way for every reason; an orderly end waits for the client to close,
so that TIME_WAIT stays with the clients.
Rule 2: no connection outlives its deadline, and none has more than one answer waiting to be sent.
Rule 3: at the cap, the connection that has been silent longest gives way; then, the one that has long not gone on.
Nobody gives way who has shown to be there.
"""

from __future__ import annotations

import fcntl
import selectors
import socket
import termios
from collections import OrderedDict

from coffer.server.deadlines import NEVER, SESSION_SECONDS, TICKS_A_SECOND, WRITE_SECONDS, Deadlines, Timers, now
from coffer.server.doors import PAUSE_SECONDS, Doors, reset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from coffer.server.sources import Source, Sources

    class Conversation(Protocol):
        """What the loop carries bytes for. Each whole message changes its state."""

        state: Any
        closed: bool
        fault: Any
        proven: bool

        @property
        def failing(self) -> bool: ...

        def receive(self, data: memoryview) -> bytes: ...
        def receive_end(self) -> None: ...


READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
DONTWAIT = socket.MSG_DONTWAIT
BUFFER_BYTES = 65_536
TAKING_SECONDS = 0.25
# A client that is there goes on at once. Who has not by then may have played a recorded beginning.
GOING_ON_SECONDS = 1.0
FORGET_SECONDS = 10.0
# Why a connection was dropped; the step at which it was late is the conversation's to name.
LATE = "deadline"
UNTAKEN = "deadline: it does not take its answer"


class Connection:
    """One socket and the conversation on it."""

    __slots__ = (
        "conversation", "deadline", "events", "fd", "is_slow", "out", "since", "socket", "source", "take_by", "tick",
    )  # fmt: skip

    def __init__(
        self, sock: socket.SocketType, source: Source, conversation: Conversation, since: float
    ) -> None:
        self.socket = sock
        self.fd = sock.fileno()
        self.source = source
        self.conversation = conversation
        self.since = since
        self.deadline = since
        self.take_by = since
        self.is_slow = False
        self.tick = NEVER
        self.events = 0
        self.out: memoryview | None = None


class Loop:
    """Serves conversations on inherited listening sockets until it is told to drain or stop."""

    def __init__(
        self,
        listeners: list[socket.socket],
        sources: Sources,
        most_connections: int,
        make: Callable[[], Any],
        patience: Mapping[Any, float],
        report: Callable[[Connection, str | None], None],
    ) -> None:
        """``patience`` is how many seconds, at least one, a client may take in each state of a conversation;
        ``report`` is told of each connection's end: None when it was orderly, otherwise why.
        """
        self._sources = sources
        self._most = most_connections
        self._make = make
        self._patience = patience
        self._report = report
        self._selector = selectors.DefaultSelector()
        self._on_read = self._read
        self._on_write = self._write
        self._deadlines = Deadlines()
        self._silent: OrderedDict[Connection, None] = OrderedDict()
        self._begun: OrderedDict[Connection, float] = OrderedDict()
        self._count = 0
        self._timers = Timers()
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._stop_at: float | None = None
        self._running = True
        self.moment = now()
        self._answered: list[Connection] = []
        self._doors = Doors(listeners, self._selector, self._has_room, self._greet)
        self.call_every(FORGET_SECONDS, lambda: self._sources.forget(self.moment))

    def call_every(self, seconds: float, act: Callable[[], None]) -> None:
        """Call ``act`` every so many seconds for as long as the loop runs."""
        self._timers.every(seconds, act, self.moment)

    def watch(self, sock: socket.socket, act: Callable[[], None]) -> None:
        """Call ``act`` whenever there is something to read on a socket that is not a client's."""
        self._selector.register(sock, READ, (lambda _: act(), None))

    def run(self) -> None:
        """Serve until stopped, or drained of the last connection."""
        while self._running:
            answered, self._answered = self._answered, []
            events = self._selector.select(0 if answered else self._pause_seconds())
            self.moment = now()
            self._timers.run(self.moment)  # first of all: after a suspend, no session gets a key that is over
            for connection in answered:
                self._read(connection)
            for key, _ in events:
                act, subject = key.data
                act(subject)
            self._look_at_the_clock()

    def stop(self) -> None:
        """End ``run`` after this round, whoever is still connected."""
        self._running = False

    def drain(self, seconds: float) -> None:
        """Accept what is queued, take no more, and stop when the last has gone or the seconds are over."""
        self._doors.close()
        self._stop_at = self.moment + seconds

    def silent(self) -> list[Any]:
        """Return the conversations in which the client has said nothing yet."""
        return [connection.conversation for connection in self._silent]

    # -- a connection's life

    def _has_room(self) -> bool:
        """Whether one more may come: below the cap, or where somebody can give way."""
        return self._count < self._most or self._find_idlest() is not None

    def _find_idlest(self) -> Connection | None:
        """Return who is to give way: whoever has been silent longest, or has begun and long not gone on."""
        if self._silent:
            return next(iter(self._silent))
        if self._begun:
            connection, since = next(iter(self._begun.items()))
            if self.moment - since >= GOING_ON_SECONDS:
                return connection
        return None

    def _make_room(self) -> None:
        """At the cap, and now that somebody has come: one connection goes."""
        if self._count >= self._most and (idlest := self._find_idlest()):
            self._drop(idlest, "gave way: the server is full (--max-connections)")

    def _greet(self, sock: socket.SocketType, address: str) -> None:
        """Take a new connection, and read at once what it may have brought."""
        source = self._sources.enter(address)
        connection = Connection(sock, source, self._make(), self.moment)
        refusal = self._sources.refusal(source, self.moment)
        if refusal is None:
            self._make_room()
        self._count += 1
        if refusal is not None:
            self._drop(connection, refusal)
            return
        connection.deadline = self.moment + self._patience[connection.conversation.state]
        self._read(connection)
        if connection.events == READ:
            self._silent[connection] = None

    def _expect(self, connection: Connection) -> None:
        """Nothing whole is there yet: have the selector say when there is more."""
        if not connection.events:
            self._select(connection, READ)

    def _select(self, connection: Connection, events: int) -> None:
        data = (self._on_read if events == READ else self._on_write, connection)
        if not connection.events:
            self._selector.register(connection.fd, events, data)
            self._deadlines.set(connection, connection.deadline, self.moment)
        elif connection.events != events:
            self._selector.modify(connection.fd, events, data)
        connection.events = events

    def _read(self, connection: Connection) -> None:
        if connection.fd < 0:
            return  # it gave way to another in this very round of events
        try:
            count = connection.socket.recv_into(self._buffer, 0, DONTWAIT)
        except BlockingIOError:
            self._expect(connection)
            return
        except OSError as error:
            self._drop(connection, f"lost: {error.strerror}")
            return
        if not count:
            self._take_end(connection)
            return
        conversation = connection.conversation
        before = conversation.state
        reply = conversation.receive(self._buffer[:count])
        if conversation.state == before and not conversation.closed:
            self._expect(connection)  # a part of a frame earns no time: a deadline is for the whole
            return
        self._note_progress(connection)
        if conversation.closed:
            self._take_last(connection, reply)
        elif not reply or self._send(connection, reply):
            self._await(connection)

    def _note_progress(self, connection: Connection) -> None:
        """It has said something whole."""
        if self._silent:
            self._silent.pop(connection, None)
        conversation = connection.conversation
        if not conversation.proven and not conversation.closed:
            self._begun[connection] = self.moment
        elif self._begun:
            self._begun.pop(connection, None)

    def _take_last(self, connection: Connection, reply: bytes) -> None:
        """The conversation is over: send what was earned before, then reset whoever erred or await the close."""
        if connection.conversation.failing:
            self._sources.charge(connection.source, self.moment)
        if not reply or self._send(connection, reply):
            self._part(connection)

    def _part(self, connection: Connection) -> None:
        fault = connection.conversation.fault
        if fault is not None:
            self._drop(connection, str(fault))
        else:
            self._await(connection)

    def _await(self, connection: Connection) -> None:
        """Give the client the time that this state of the conversation allows.

        A new connection is read once more, in the next round, before it is given to the selector: under load its
        next frame is there by then, and so a whole session may pass without being registered at all.
        """
        self._set_deadline(connection, self._patience[connection.conversation.state])
        if not connection.events:
            self._answered.append(connection)

    def _set_deadline(self, connection: Connection, seconds: float) -> None:
        deadline = self.moment + seconds
        if deadline > connection.since + SESSION_SECONDS:
            self._deadlines.set(connection, connection.since + SESSION_SECONDS, self.moment)
        else:
            connection.deadline = deadline

    def _send(self, connection: Connection, data: bytes | memoryview) -> bool:
        """Send what the socket takes and keep the rest; True when all of it is out."""
        if connection.out is None:
            connection.take_by = self.moment + WRITE_SECONDS
        try:
            sent = connection.socket.send(data, DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._drop(connection, f"lost: {error.strerror}")
            return False
        if sent == len(data):
            return True
        if connection.out is None:
            self._set_deadline(connection, WRITE_SECONDS)
        connection.out = memoryview(data)[sent:]
        self._select(connection, WRITE)
        return False

    def _write(self, connection: Connection) -> None:
        if connection.fd < 0:
            return
        assert connection.out is not None
        if not self._send(connection, connection.out):
            return
        connection.out = None
        self._select(connection, READ)
        if connection.conversation.closed:
            self._part(connection)
        else:
            self._await(connection)

    def _take_end(self, connection: Connection) -> None:
        conversation = connection.conversation
        conversation.receive_end()
        if conversation.fault is not None:
            self._drop(connection, str(conversation.fault))
        else:
            self._forget(connection, None)
            connection.socket.close()

    def _drop(self, connection: Connection, why: str) -> None:
        self._forget(connection, why)
        reset(connection.socket)

    def _forget(self, connection: Connection, why: str | None) -> None:
        if connection.events:
            self._selector.unregister(connection.fd)
        connection.fd = -1
        self._deadlines.drop(connection)
        if self._silent:
            self._silent.pop(connection, None)
        if self._begun and self._begun.pop(connection, None) is not None:
            self._sources.charge(connection.source, self.moment)  # it cost work, and nobody showed to be there
        self._sources.leave(connection.source)
        self._count -= 1
        if self._doors.waits_for_room:
            self._doors.open()
        self._report(connection, why)

    # -- the clock

    def _pause_seconds(self) -> float:
        if self._deadlines or self._stop_at is not None:
            return 1 / TICKS_A_SECOND
        if self._doors.opens_at is not None:
            return PAUSE_SECONDS
        assert self._timers.next_at is not None  # sources are forgotten for as long as it runs
        return max(0.0, self._timers.next_at - self.moment)

    def _look_at_the_clock(self) -> None:
        moment = self.moment
        for connection in self._deadlines.due(moment):
            self._run_out(connection)
        if self._doors.waits_for_room and self._has_room():
            self._doors.open()
        if self._doors.opens_at is not None and self._doors.opens_at <= moment:
            self._doors.open()
        if self._stop_at is not None and (not self._count or self._stop_at <= moment):
            self.stop()

    def _run_out(self, connection: Connection) -> None:
        """A deadline is past: a conversation that is over is closed, any other one reset."""
        if connection.out is not None:
            self._drop(connection, UNTAKEN)
        elif connection.conversation.closed:
            self._forget(connection, None)
            connection.socket.close()
        elif _holds_back(connection.fd):
            self._await_taking(connection)
        elif connection.is_slow:
            connection.is_slow = False
            self._await(connection)
        else:
            self._drop(connection, LATE)

    def _await_taking(self, connection: Connection) -> None:
        """The answer is still on its way to the client, whose own time begins when it is there."""
        if self.moment >= min(connection.take_by, connection.since + SESSION_SECONDS):
            self._drop(connection, UNTAKEN)
        else:
            connection.is_slow = True
            self._deadlines.set(connection, min(self.moment + TAKING_SECONDS, connection.take_by), self.moment)


def _holds_back(fd: int) -> bool:
    """Whether the kernel keeps bytes that the client has not acknowledged."""
    return any(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))
