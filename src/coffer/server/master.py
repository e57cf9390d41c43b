"""The master: holds the listening sockets for life, keeps a crew of workers, and alone hears signals.

It serves nobody itself and never sees a value: definitions are opened by the loader, answers given by workers.

Rule 1: all workers accept from the same inherited sockets, so a worker's death loses no queued connection.
Rule 2: whatever is wrong with a new definition, the old one keeps serving, and one line says why.
Rule 3: a reload is done when every living worker has acknowledged the new table.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket

from coffer._core import Locker, memory_is_locked
from coffer.ending import escape
from coffer.errors import CofferError, OperatorError, UnreachableError
from coffer.program import counted
from coffer.server import control, state, systemd, table
from coffer.server.control import Verdict
from coffer.server.crew import Crew
from coffer.server.deadlines import SESSION_SECONDS, Timers, now
from coffer.server.listeners import format_address
from coffer.server.loader import Loader
from coffer.server.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer._core import Keypair, Table
    from coffer.server.loader import Loaded
    from coffer.server.log import Log
    from coffer.server.settings import Settings
    from coffer.server.state import Stamp

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
LOOK_SECONDS = 1.0
DRAIN_GRACE_SECONDS = 1.0
STOPPING = Verdict("the server is stopping", None, UnreachableError.exit_code)


class Master:
    """Runs until it is told to end."""

    def __init__(
        self,
        settings: Settings,
        keypairs: tuple[Keypair, ...],
        listeners: list[socket.socket],
        log: Log,
    ) -> None:
        self._settings = settings
        self._keypairs = keypairs
        self._listeners = listeners
        self._log = log
        self._locker = Locker()
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(settings.workers, self._selector, log, self._become_worker, self._settle_reload)
        self._table: Table | None = None
        self._last: Stamp | None = state.load(settings.state_dir)
        self._loader: Loader | None = None
        self._load_again = False
        self._asking: list[socket.socket] = []
        self._verdict: Verdict | None = None
        self._control: socket.socket | None = None
        self._seen: object = None
        self._timers = Timers()
        self._is_ready = False
        self._ending: float | None = None
        self._running = True

    # -- life

    def run(self) -> int:
        """Load, serve, reload, drain; return the exit code. Raises CofferError when the first load is refused."""
        self._hear_the_world()
        try:
            self._reload()
            while self._running:
                for key, _ in self._selector.select(self._pause_seconds()):
                    key.data()
                self._look_at_the_clock()
        finally:
            if self._control is not None:
                control.unbind(self._settings.run_dir)
        return 0

    def _hear_the_world(self) -> None:
        self._wake, self._wake_end = socket.socketpair()
        self._wake.setblocking(False)
        self._wake_end.setblocking(False)
        signal.set_wakeup_fd(self._wake_end.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake, selectors.EVENT_READ, self._hear_signals)
        if self._settings.run_dir:
            self._control = control.bind(self._settings.run_dir)
            self._selector.register(self._control, selectors.EVENT_READ, self._hear_question)

    def _announce(self) -> None:
        """Say, once, where and how: from here on it is true."""
        settings = self._settings
        self._is_ready = True
        for listener in self._listeners:
            self._log.say(f"listening on {format_address(listener)}")
        connections = counted(settings.max_connections, "connection")
        self._log.say(f"{counted(settings.workers, 'worker')}, at most {connections} each")
        if not memory_is_locked() or not self._crew.memory_is_locked:
            self._log.say("warning: not all secret memory could be locked, it may be swapped; raise `ulimit -l`")
        self._start_timers()

    def _start_timers(self) -> None:
        watchdog_seconds = systemd.watchdog_seconds()
        if watchdog_seconds is not None:
            self._timers.every(watchdog_seconds, lambda: systemd.notify("WATCHDOG=1"), now())
        if self._settings.reload_on_change:
            self._timers.every(LOOK_SECONDS, self._look_for_change, now())

    def _become_worker(self, number: int, channel: socket.socket) -> int:
        """In a new process: let go of all that is the master's, and serve."""
        self._selector.close()
        for held in (self._wake, self._wake_end, self._control, *self._asking):
            if held is not None:
                held.close()
        self._crew.let_go()
        if self._loader is not None:
            self._loader.let_go()
        self._table = None
        self._log.share(number, self._settings.workers)
        return Worker(self._listeners, channel, self._keypairs, self._locker, self._settings, self._log).run()

    # -- signals and questions

    def _hear_signals(self) -> None:
        for number in set(self._wake.recv(4096)):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._reload()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._drain() if self._ending is None else self._end("stopped at once, as asked twice")

    def _hear_question(self) -> None:
        assert self._control is not None
        try:
            connection, _ = self._control.accept()
        except OSError:
            return
        if not control.takes_reload(connection):
            connection.close()
            return
        self._asking.append(connection)
        if self._ending is None:
            self._reload()
        else:
            self._answer_asking(STOPPING)

    def _answer(self, verdict: Verdict) -> None:
        """Say a verdict: to the log, to the service manager, and to everyone who asked."""
        self._say(verdict)
        self._answer_asking(verdict)
        systemd.notify(f"READY=1\nSTATUS={escape(verdict.message)}")

    def _say(self, verdict: Verdict) -> None:
        self._log.say(verdict.message)
        if verdict.hint:
            self._log.say(f"hint: {verdict.hint}")

    def _answer_asking(self, verdict: Verdict) -> None:
        asking, self._asking = self._asking, []
        for connection in asking:
            with contextlib.suppress(OSError):
                connection.send(control.format_verdict(verdict))
            connection.close()

    def _reap(self) -> None:
        self._crew.reap()
        if self._ending is not None and not self._crew:
            self._end("stopped")

    # -- reload

    def _look(self) -> object:
        try:
            status = os.stat(self._settings.definition)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _look_for_change(self) -> None:
        seen = self._look()
        if seen != self._seen and seen is not None:
            self._reload()

    def _reload(self) -> None:
        if self._ending is not None:
            return
        if self._loader is not None or self._verdict is not None:
            self._load_again = True
            return
        if self._is_ready:
            systemd.notify_reloading()
        self._seen = self._look()
        try:
            self._loader = Loader(self._settings, self._keypairs, self._locker, self._last)
        except CofferError as error:
            self._refuse(error)
        else:
            self._selector.register(self._loader.pipe, selectors.EVENT_READ, self._hear_loader)

    def _hear_loader(self) -> None:
        if self._loader is None or self._loader.read():
            return  # it was stopped in this very round, or has more to say
        loader, self._loader = self._loader, None
        self._selector.unregister(loader.pipe)
        try:
            self._verdict = Verdict(self._take(*loader.finish()))
        except CofferError as error:
            self._refuse(error)
        self._settle_reload()

    def _refuse(self, error: CofferError) -> None:
        """Keep what is served; without anything to serve, the error ends the program."""
        if self._table is None:
            raise error
        line = f"reload refused, serial {self._table.serial} keeps serving: {error}"
        self._verdict = Verdict(line, error.hint, error.exit_code)

    def _take(self, loaded: Loaded, fd: int) -> str:
        """Have a loaded table served from now on; return the line that says so. Raises OperatorError."""
        if loaded.unchanged and self._table is not None:
            os.close(fd)
            return f"serial {loaded.stamp.serial} is served already: nothing has changed"
        try:
            new = self._map(fd)
            state.save(self._settings.state_dir, loaded.stamp)
        except CofferError:
            os.close(fd)
            raise
        line = f"serving {loaded}"
        if self._table is not None:
            came, gone, changed = new.changes(self._table)
            line += f" (ids: {came} new, {gone} gone, {changed} changed)"
        self._table, self._last = new, loaded.stamp
        self._crew.serve(fd)
        return line

    def _map(self, fd: int) -> Table:
        try:
            return table.map_sealed(fd, self._locker)
        except (OSError, ValueError) as error:  # no memory, or a loader that wrote something else: we go on
            reason = error.strerror if isinstance(error, OSError) else error
            raise OperatorError(f"{self._settings.definition}: its table cannot be used: {reason}") from None

    def _settle_reload(self) -> None:
        """Say the verdict once every living worker has the table it is about."""
        if self._verdict is None or not self._crew.has_taken:
            return
        verdict, self._verdict = self._verdict, None
        if self._load_again:
            self._load_again = False
            self._say(verdict)
            self._reload()
        else:
            self._answer(verdict)
        if not self._is_ready:
            self._announce()

    # -- the end

    def _drain(self) -> None:
        """Let the sessions end, and forget about reloads: whoever waits for one is told."""
        self._log.say("draining")
        systemd.notify("STOPPING=1")
        self._ending = now() + SESSION_SECONDS + DRAIN_GRACE_SECONDS
        for listener in self._listeners:
            listener.close()
        self._stop_loader()
        self._verdict, self._load_again = None, False
        self._answer_asking(STOPPING)
        self._crew.dismiss()
        self._reap()

    def _stop_loader(self) -> None:
        if self._loader is not None:
            self._selector.unregister(self._loader.pipe)
            self._loader.stop()
            self._loader = None

    def _end(self, why: str) -> None:
        if not self._running:
            return  # signals of one round may each be the last
        self._log.say(why)
        self._crew.kill()
        self._running = False

    # -- the clock

    def _pause_seconds(self) -> float | None:
        moments = [when for when in (self._timers.next_at, self._crew.due_at, self._ending) if when is not None]
        return max(0.0, min(moments) - now()) if moments else None

    def _look_at_the_clock(self) -> None:
        moment = now()
        self._timers.run(moment)
        self._crew.look_at_the_clock(moment)
        if self._ending is not None and self._ending <= moment:
            self._end("stopped; the last sessions took too long")
