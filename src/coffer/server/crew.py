"""The crew: a post for each worker, and whoever holds it now.

Not here: what a worker does (``worker``), and when there is a new table or an end (``master``).

Rule 1: whoever dies is replaced, at once after a long life, with growing pauses after short ones.
Rule 2: whoever does not take a table in ten seconds hangs, and is ended.
Rule 3: a post that is filled anew gets the newest table, so nobody has to be waited for but the living.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket

from coffer.server import child
from coffer.server.deadlines import now
from coffer.server.worker import DRAIN, TAKE_TABLE, TOOK_TABLE, TOOK_UNLOCKED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coffer.server.log import Log

BACK_OFF_LEAST_SECONDS = 0.1
BACK_OFF_MOST_SECONDS = 5.0
STEADY_SECONDS = 10.0
DEATHS_TO_REPORT = 3
TAKING_SECONDS = 10.0


class Post:
    """A worker's place: who holds it now, and how to speak with them."""

    __slots__ = ("asked", "back_off", "channel", "deaths", "number", "owes", "pid", "restart_at", "started")

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.channel: socket.socket | None = None
        self.owes = 0  # tables it has been handed and not yet taken
        self.asked = 0.0
        self.started = 0.0
        self.restart_at: float | None = None
        self.back_off = BACK_OFF_LEAST_SECONDS
        self.deaths = 0


class Crew:
    """All posts. ``memory_is_locked`` is what the workers say of theirs."""

    def __init__(
        self,
        size: int,
        selector: selectors.BaseSelector,
        log: Log,
        work: Callable[[int, socket.socket], int],
        settle: Callable[[], None],
    ) -> None:
        """In each new process ``work`` is called with its number and its channel; ``settle`` after every change."""
        self._posts = [Post(number) for number in range(size)]
        self._selector = selector
        self._log = log
        self._work = work
        self._settle = settle
        self._table_fd = -1
        self._is_dismissed = False
        self.memory_is_locked = True

    def __len__(self) -> int:
        """How many are alive."""
        return sum(1 for post in self._posts if post.pid)

    @property
    def has_taken(self) -> bool:
        """Whether every living worker serves the newest table."""
        return not any(post.channel is not None and post.owes for post in self._posts)

    @property
    def due_at(self) -> float | None:
        """When ``look_at_the_clock`` has something to do."""
        moments = [post.restart_at for post in self._posts if post.restart_at is not None]
        moments += [post.asked + TAKING_SECONDS for post in self._posts if post.channel is not None and post.owes]
        return min(moments, default=None)

    def serve(self, table_fd: int) -> None:
        """Have every worker serve this table; the first one is what they start with."""
        first, old, self._table_fd = self._table_fd < 0, self._table_fd, table_fd
        for post in self._posts:
            if first:
                self._fill(post)
            elif post.channel is not None:
                self._hand_table(post, post.channel)
        if not first:
            os.close(old)

    def look_at_the_clock(self, moment: float) -> None:
        """Fill the posts whose pause is over, and end whoever hangs."""
        for post in self._posts:
            if post.restart_at is not None and post.restart_at <= moment and not self._is_dismissed:
                self._fill(post)
            elif post.channel is not None and post.owes and post.asked + TAKING_SECONDS <= moment:
                self._log.say("a worker hangs; it is ended")
                self._hang_up(post)
                os.kill(post.pid, signal.SIGKILL)
        self._settle()

    def reap(self) -> None:
        """Notice who has died, and plan who follows."""
        for post in self._posts:
            if post.pid:
                pid, status = os.waitpid(post.pid, os.WNOHANG)
                if pid:
                    post.pid = 0
                    self._hang_up(post)
                    self._mourn(post, f"a worker died ({child.name_end(os.waitstatus_to_exitcode(status))})")
        self._settle()

    def dismiss(self) -> None:
        """Have every worker end with its last session; nobody is replaced any more."""
        self._is_dismissed = True
        for post in self._posts:
            post.restart_at = None
            if post.channel is not None:
                self._tell(post.channel, DRAIN)

    def kill(self) -> None:
        """End every worker at once."""
        self._is_dismissed = True
        for post in self._posts:
            if post.pid:
                os.kill(post.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """In a new worker: close what belongs to the others."""
        for post in self._posts:
            if post.channel is not None:
                post.channel.close()
        os.close(self._table_fd)

    def _fill(self, post: Post) -> None:
        post.started, post.restart_at, post.owes = now(), None, 0
        try:
            channel = self._start(post)
        except OSError as error:
            self._mourn(post, f"a worker cannot start ({error.strerror})")
            return
        post.channel = channel
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._hear(post))
        self._hand_table(post, channel)

    def _start(self, post: Post) -> socket.socket:
        """Start a worker; return our end of its channel. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def work() -> int:
            ours.close()
            return self._work(post.number, theirs)

        with theirs:
            try:
                post.pid = child.fork(work)
            except OSError:
                ours.close()
                raise
        return ours

    def _hand_table(self, post: Post, channel: socket.socket) -> None:
        post.asked = now()
        post.owes += self._tell(channel, TAKE_TABLE, [self._table_fd])

    def _tell(self, channel: socket.socket, word: bytes, fds: list[int] | None = None) -> bool:
        try:
            socket.send_fds(channel, [word], fds or [])
        except OSError:
            return False  # it is dying; whoever takes its place gets the newest table
        return True

    def _hear(self, post: Post) -> None:
        if post.channel is None:
            return  # its death was heard first, in this very round
        try:
            said = post.channel.recv(64)
        except OSError:
            said = b""
        if said in (TOOK_TABLE, TOOK_UNLOCKED):
            post.owes -= 1
            self.memory_is_locked = self.memory_is_locked and said == TOOK_TABLE
        else:
            self._hang_up(post)
        self._settle()

    def _hang_up(self, post: Post) -> None:
        if post.channel is not None:
            self._selector.unregister(post.channel)
            post.channel.close()
            post.channel = None

    def _mourn(self, post: Post, what: str) -> None:
        """Plan a new worker: at once after a long life, with growing pauses after short ones."""
        if self._is_dismissed:
            return
        if now() - post.started >= STEADY_SECONDS:
            post.back_off, post.deaths = BACK_OFF_LEAST_SECONDS, 0
        post.deaths += 1
        post.restart_at = now() + post.back_off
        again = f", {post.deaths} times in a row" if post.deaths > DEATHS_TO_REPORT else ""
        self._log.say(f"{what}{again}; a new one starts in {post.back_off:.1f} s")
        post.back_off = min(post.back_off * 2, BACK_OFF_MOST_SECONDS)
