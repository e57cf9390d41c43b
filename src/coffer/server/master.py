"""The master: holds the listening sockets for life, keeps workers alive, and alone hears signals.

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
from coffer.errors import CofferError, OperatorError
from coffer.server import control, state, systemd, table
from coffer.server.deadlines import SESSION_SECONDS, now
from coffer.server.loader import Loader
from coffer.server.worker import DRAIN, TAKE_TABLE, TOOK_TABLE, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coffer._core import Keypair, Table
    from coffer.server.loader import Loaded, Stamp
    from coffer.server.log import Log
    from coffer.server.settings import Settings

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
BACK_OFF_LEAST_SECONDS = 0.1
BACK_OFF_MOST_SECONDS = 5.0
STEADY_SECONDS = 10.0
LOOK_SECONDS = 1.0
DRAIN_GRACE_SECONDS = 1.0


class Post:
    """A worker's place: who holds it now, and how to speak with them."""

    __slots__ = ("back_off", "channel", "deaths", "pid", "restart_at", "serial", "started")

    def __init__(self) -> None:
        self.pid = 0
        self.channel: socket.socket | None = None
        self.serial = 0
        self.started = 0.0
        self.restart_at: float | None = None
        self.back_off = BACK_OFF_LEAST_SECONDS
        self.deaths = 0


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
        self._posts = [Post() for _ in range(settings.workers)]
        self._table: Table | None = None
        self._table_fd = -1
        self._last: Stamp | None = state.load(settings.state_dir)
        self._loader: Loader | None = None
        self._load_again = False
        self._asking: list[socket.socket] = []
        self._verdict: tuple[str, str | None, int] | None = None
        self._control: socket.socket | None = None
        self._seen: object = None
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._ending: float | None = None
        self._running = True

    # -- life

    def run(self) -> int:
        """Load, serve, reload, drain; return the exit code. Raises CofferError when the first load is refused."""
        self._open_doors()
        self._take(*self._load_first())
        for post in self._posts:
            self._start(post)
        self._await_workers()
        self._announce()
        while self._running:
            for key, _ in self._selector.select(self._patience()):
                key.data()
            self._look_at_the_clock()
        return 0

    def _open_doors(self) -> None:
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        wake.setblocking(False)
        self._wake_end = wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake, selectors.EVENT_READ, self._hear_signals)
        if self._settings.run_dir:
            self._control = control.bind(self._settings.run_dir)
            self._selector.register(self._control, selectors.EVENT_READ, self._hear_question)

    def _load_first(self) -> tuple[Loaded, int]:
        self._seen = self._look()
        loader = Loader(self._settings, self._keypairs, self._locker, self._last)
        while loader.read():
            pass
        return loader.finish()

    def _await_workers(self) -> None:
        """Wait until every worker has its table, so that READY is true; a worker that dies is not waited for."""
        while any(post.channel is not None and not post.serial for post in self._posts):
            for key, _ in self._selector.select(1.0):
                key.data()
            self._look_at_the_clock()

    def _announce(self) -> None:
        settings = self._settings
        for listener in self._listeners:
            self._log.say(f"listening on {format_address(listener)}")
        self._log.say(f"{settings.workers} workers, at most {settings.max_connections:,} connections each")
        if not memory_is_locked():
            self._log.say("warning: not all secret memory could be locked, it may be swapped; raise `ulimit -l`")
        systemd.notify(f"READY=1\nSTATUS=serving serial {self._last.serial if self._last else 0}")
        self._every(systemd.watchdog_seconds(), lambda: systemd.notify("WATCHDOG=1"))
        if settings.reload_on_change:
            self._every(LOOK_SECONDS, self._look_for_change)

    # -- signals and questions

    def _hear_signals(self) -> None:
        for number in set(self._wake.recv(4096)):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._reload()
            elif self._ending is None:
                self._drain()
            else:
                self._log.say("stopped at once, as asked twice")
                self._end()

    def _hear_question(self) -> None:
        assert self._control is not None
        try:
            connection, _ = self._control.accept()
        except OSError:
            return
        connection.settimeout(1.0)
        try:
            asked = connection.recv(64) if control.may_ask(connection) else b""
        except OSError:
            asked = b""
        if asked == control.RELOAD and self._ending is None:
            self._asking.append(connection)
            self._reload()
        else:
            connection.close()

    def _answer(self, message: str, hint: str | None = None, code: int = 0) -> None:
        """Say a verdict: to the log, and to everyone who asked."""
        if code:
            self._log.say(f"reload refused, the old definition keeps serving: {message}")
            if hint:
                self._log.say(f"hint: {hint}")
        else:
            self._log.say(message)
        asking, self._asking = self._asking, []
        for connection in asking:
            with contextlib.suppress(OSError):
                connection.send(control.format_verdict(message, hint, code))
            connection.close()
        systemd.notify(f"READY=1\nSTATUS={message}")

    # -- workers

    def _start(self, post: Post) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            self._become_worker(ours, theirs)
        theirs.close()
        post.pid, post.channel, post.serial = pid, ours, 0
        post.started, post.restart_at = now(), None
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear_worker(post))
        self._hand_table(post)

    def _become_worker(self, ours: socket.socket, theirs: socket.socket) -> None:
        """In the child: let go of all that is the master's, and serve."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for held in (self._wake, self._wake_end, self._control, ours, *self._asking,
                     *(post.channel for post in self._posts)):
            if held is not None:
                held.close()
        os.close(self._table_fd)
        if self._loader is not None:
            self._loader.let_go()
        self._table = None
        self._log.share(len(self._posts))
        worker = Worker(self._listeners, theirs, self._keypairs, self._locker, self._settings, self._log)
        os._exit(worker.run())

    def _hand_table(self, post: Post) -> None:
        if post.channel is None:
            return
        try:
            socket.send_fds(post.channel, [TAKE_TABLE], [self._table_fd])
        except OSError:
            return  # it is dying; whoever takes its place gets the newest table

    def _hear_worker(self, post: Post) -> None:
        if post.channel is None:
            return  # its death was heard first, in this very round
        try:
            said = post.channel.recv(64)
        except OSError:
            said = b""
        if said.startswith(TOOK_TABLE):
            post.serial = int.from_bytes(said[len(TOOK_TABLE) :], "big")
        else:
            self._let_go(post)
        self._settle_reload()

    def _let_go(self, post: Post) -> None:
        if post.channel is not None:
            self._selector.unregister(post.channel)
            post.channel.close()
            post.channel = None

    def _reap(self) -> None:
        for post in self._posts:
            if post.pid and os.waitpid(post.pid, os.WNOHANG)[0]:
                post.pid = 0
                self._let_go(post)
                if self._ending is None:
                    self._mourn(post)
        self._settle_reload()
        if self._ending is not None and not any(post.pid for post in self._posts):
            self._log.say("stopped")
            self._running = False

    def _mourn(self, post: Post) -> None:
        """Plan a new worker: at once after a long life, with growing pauses after short ones."""
        if now() - post.started >= STEADY_SECONDS:
            post.back_off, post.deaths = BACK_OFF_LEAST_SECONDS, 0
        post.deaths += 1
        post.restart_at = now() + post.back_off
        again = f", for the {post.deaths}th time in a row" if post.deaths > 3 else ""
        self._log.say(f"a worker died{again}; a new one starts in {post.back_off:.1f} s")
        post.back_off = min(post.back_off * 2, BACK_OFF_MOST_SECONDS)

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
        systemd.notify_reloading()
        self._seen = self._look()
        self._loader = Loader(self._settings, self._keypairs, self._locker, self._last)
        self._selector.register(self._loader.pipe, selectors.EVENT_READ, self._hear_loader)

    def _hear_loader(self) -> None:
        assert self._loader is not None
        if self._loader.read():
            return
        loader, self._loader = self._loader, None
        self._selector.unregister(loader.pipe)
        try:
            loaded, fd = loader.finish()
            self._verdict = (self._take(loaded, fd), None, 0)
        except CofferError as error:
            self._verdict = (str(error), error.hint, error.exit_code)
        else:
            for post in self._posts:
                self._hand_table(post)
        self._settle_reload()

    def _take(self, loaded: Loaded, fd: int) -> str:
        """Make a loaded table the one that is served from now on; return the line that says so.

        Raises OperatorError when the state directory cannot remember it: then a restart could go back behind it.
        """
        try:
            state.save(self._settings.state_dir, loaded.stamp)
        except OperatorError:
            os.close(fd)
            raise
        new = table.map_sealed(fd, self._locker)
        line = f"serving serial {loaded.stamp.serial}: {loaded.clients} clients, {loaded.values} values"
        if self._table is not None:
            came, gone, changed = new.changes(self._table)
            line += f" (ids: {came} new, {gone} gone, {changed} changed)"
            os.close(self._table_fd)
        else:
            self._log.say(line)
        self._table, self._table_fd, self._last = new, fd, loaded.stamp
        return line

    def _settle_reload(self) -> None:
        """Say the verdict once every living worker has the table it is about."""
        if self._verdict is None or self._last is None:
            return
        if any(post.channel is not None and post.serial != self._last.serial for post in self._posts):
            return
        verdict, self._verdict = self._verdict, None
        if self._load_again:
            self._load_again = False
            self._log.say(verdict[0])
            self._reload()
        else:
            self._answer(*verdict)

    # -- the end

    def _drain(self) -> None:
        self._log.say("draining")
        systemd.notify("STOPPING=1")
        self._ending = now() + SESSION_SECONDS + DRAIN_GRACE_SECONDS
        for listener in self._listeners:
            listener.close()
        for post in self._posts:
            if post.channel is not None:
                try:
                    post.channel.send(DRAIN)
                except OSError:
                    continue
        self._reap()

    def _end(self) -> None:
        for post in self._posts:
            if post.pid:
                os.kill(post.pid, signal.SIGKILL)
        self._running = False

    # -- the clock

    def _every(self, seconds: float | None, act: Callable[[], None]) -> None:
        if seconds is None:
            return

        def again() -> None:
            act()
            self._every(seconds, act)

        self._timers.append((now() + seconds, again))

    def _patience(self) -> float | None:
        moments = [when for when, _ in self._timers]
        moments += [post.restart_at for post in self._posts if post.restart_at is not None]
        if self._ending is not None:
            moments.append(self._ending)
        return max(0.0, min(moments) - now()) if moments else None

    def _look_at_the_clock(self) -> None:
        moment = now()
        late = [timer for timer in self._timers if timer[0] <= moment]
        self._timers = [timer for timer in self._timers if timer[0] > moment]
        for _, act in late:
            act()
        for post in self._posts:
            if post.restart_at is not None and post.restart_at <= moment and self._ending is None:
                self._start(post)
        if self._ending is not None and self._ending <= moment:
            self._log.say("stopped; the last sessions took too long")
            self._end()


def format_address(listener: socket.socket) -> str:
    """``HOST:PORT`` of a listening socket, an IPv6 address in brackets."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
