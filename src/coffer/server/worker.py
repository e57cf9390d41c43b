"""A worker: the loop and the protocol married, with the table that the master hands it.

Rule 1: a worker makes its own epoch key, after the fork, and renews it every 60 s, sessions or not.
Rule 2: it has no signals of its own; the master speaks over a socket, and its end is the worker's end.
Rule 3: a session keeps the table under which it said Hello.
"""

from __future__ import annotations

import gc
import os
import signal
import socket

from coffer._core import Responder, memory_is_locked
from coffer.message import DRAINING, NAMES, Kind
from coffer.protocol import ServerSession, State
from coffer.server import table
from coffer.server.deadlines import (
    BYE_SECONDS,
    CLOSE_SECONDS,
    EPOCH_SECONDS,
    GET_SECONDS,
    HELLO_SECONDS,
    SESSION_SECONDS,
)
from coffer.server.loop import LATE, Loop
from coffer.server.sources import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer._core import Keypair, Locker, ShardHandle, Table
    from coffer.server.log import Log
    from coffer.server.loop import Connection
    from coffer.server.settings import Settings

# What the master and a worker say to each other, one message a datagram.
TAKE_TABLE = b"table"
DRAIN = b"drain"
TOOK_TABLE = b"took"
TOOK_UNLOCKED = b"took, with memory that may be swapped"

PATIENCE = {
    State.HELLO: HELLO_SECONDS,
    State.GET: GET_SECONDS,
    State.BYE: BYE_SECONDS,
    State.CLOSED: CLOSE_SECONDS,
}
# A Hello that arrives later than this after the drain began is told to go elsewhere.
LATE_HELLO_SECONDS = 1.0
RESULTS = {Kind.LINK: "ping", Kind.OK_GET: "fetched", Kind.KEY_NOT_FOUND: "KeyNotFound", Kind.ERROR: "Error"}
CAUSES = {
    "Hello: the outer box does not open": "the client has another server's id, or speaks something else",
    "Hello: the inner box does not open": "the client does not hold the key it names",
}


class Conversation(ServerSession):
    """A session as the loop wants it."""

    __slots__ = ()

    @property
    def failing(self) -> bool:
        """Whether it has come to an end that cost work and earned nothing."""
        return not self.proven and (self.fault is not None or self.told == Kind.KEY_NOT_FOUND)


class Worker:
    """Serves until the master says otherwise."""

    def __init__(
        self,
        listeners: list[socket.socket],
        master: socket.socket,
        keypairs: tuple[Keypair, ...],
        locker: Locker,
        settings: Settings,
        log: Log,
    ) -> None:
        """To be made in the new process, after the fork."""
        for keypair in keypairs:
            keypair.relock()
        locker.relock()
        self._master = master
        self._locker = locker
        self._log = log
        self._responder = Responder(keypairs)
        self._table: Table | None = None
        self._listeners = listeners
        self._loop: Loop | None = None
        self._settings = settings

    def run(self) -> int:
        """Serve; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._hear_master()
        settings = self._settings
        sources = Sources(settings.max_connections_per_source, *settings.failing_hellos_per_source)
        loop = self._loop = Loop(self._listeners, sources, settings.max_connections, self._make, PATIENCE, self._report)
        loop.watch(self._master, self._hear_master)
        loop.call_every(EPOCH_SECONDS, self._responder.renew)
        # What was there before the first session is not looked at again: collections stay short.
        gc.freeze()
        loop.run()
        return 0

    def _make(self) -> Conversation:
        return Conversation(self._responder, self._find)

    def _find(self, client: bytes) -> ShardHandle | None:
        assert self._table is not None
        return self._table.find(client)

    def _hear_master(self) -> None:
        try:
            word, fds, _, _ = socket.recv_fds(self._master, 64, 1)
        except OSError:
            word, fds = b"", []
        if word == TAKE_TABLE and fds:
            self._take_table(fds[0])
        elif word == DRAIN and self._loop is not None:
            self._drain(self._loop)
        else:
            # The master is gone. Nothing else can tell us anything, and the port must come free.
            os._exit(1)

    def _take_table(self, fd: int) -> None:
        try:
            self._table = table.map_sealed(fd, self._locker)
        finally:
            os.close(fd)
        self._master.send(TOOK_TABLE if memory_is_locked() else TOOK_UNLOCKED)

    def _drain(self, loop: Loop) -> None:
        loop.drain(SESSION_SECONDS)
        loop.call_every(LATE_HELLO_SECONDS, self._refuse_late)

    def _refuse_late(self) -> None:
        assert self._loop is not None
        for conversation in self._loop.silent():
            conversation.refusal = DRAINING

    def _report(self, connection: Connection, why: str | None) -> None:
        if why is None and not self._log.verbose:
            return
        session: Conversation = connection.conversation  # type: ignore[assignment]
        assert self._loop is not None
        moment, source = self._loop.moment, connection.source.name
        # A client is named once it has shown to be there; whoever plays its recorded Hello is only an address.
        name = session.shard.name if session.shard is not None and session.proven else None
        if why is not None and (session.fault is not None or not session.closed):
            who = source if name is None else f"{source}: {name}"
            self._log.say_of_peer(f"{who}: {_explain(why, session)}", moment)
        elif self._log.verbose and session.told is not None:
            result, took = RESULTS[session.told], f"{(moment - connection.since) * 1000:.1f} ms"
            if name is None:
                self._log.say_of_peer(f"{source}: {result} in {took}", moment)
            else:
                self._log.say(f"{name}: {result} in {took}")


def _explain(why: str, session: Conversation) -> str:
    if why == LATE:
        return f"{why}: no whole {session.state} in time"
    if session.fault is not None and session.told is not None:
        return f"after {NAMES[session.told]}: {why}"
    return f"{why} ({CAUSES[why]})" if why in CAUSES else why
