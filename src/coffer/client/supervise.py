"""Staying beside a command: it gets our signals, we end with its exit code, and it learns of values that changed.

Not here: looking for changes (``watch``), what a command receives (``delivery``), how it is found (``run``).

Rule 1: signals are held back and taken one by one, so that nothing happens between a look and a deed.
Rule 2: what the terminal sends, it sends to the command too; only what was sent to us alone is handed on.
Rule 3: only a change of what the command receives makes us act; a server that fails or refuses never does.
Rule 4: a command that ends, ends us. Whether it is started again is for those who started us.
"""

from __future__ import annotations

import os
import signal
import time

from coffer.ending import SIGNALLED
from coffer.errors import OperatorError

from .run import PYTHONS_OWN, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .delivery import Delivery
    from .watch import Watch

GRACE_SECONDS = 10.0
# `timeout` sends a signal to its child and to the whole group, and both arrive here: one TERM, not two.
ONE_TERM_SECONDS = 0.2

# Not handed on: what cannot be held back, what stops and continues us, and what comes of our own mistakes.
OURS = {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGPIPE),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS),
    *(signal.SIGXCPU, signal.SIGXFSZ),
}
HELD = signal.valid_signals() - OURS
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def signal_for(action: str) -> signal.Signals | None:
    """Return the signal in ``signal:NAME``, or None for ``restart``."""
    return None if action == "restart" else signal.Signals[f"SIG{action.removeprefix('signal:')}"]


class Supervisor:
    """One command. ``give`` puts a delivery in place, and returns the environment that goes with it.

    ``on_change`` is the signal that the command gets when there is another delivery; None restarts it.
    """

    def __init__(
        self,
        command: list[str],
        give: Callable[[Delivery], dict[bytes, bytes]],
        watch: Watch,
        on_change: signal.Signals | None,
        tell: Callable[[str], None],
    ) -> None:
        self._command = command
        self._give = give
        self._watch = watch
        self._on_change = on_change
        self._tell = tell
        self._pid = 0
        self._restarts = False  # whether its end is ours too, or the command is started again
        self._kill_at: float | None = None
        self._term_at: float | None = None

    def run(self) -> int:
        """Start the command; return its exit code when it ends, 128 + n for signal n. Raises CofferError."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        self._start()
        while True:
            info = signal.sigtimedwait(HELD, self._seconds_to_wait())
            if info is not None and info.si_signo != signal.SIGCHLD:
                self._take_signal(info)
            code = self._reap()
            if code is None:
                self._act_on_time()
            elif self._restarts:
                self._start()
            else:
                return code

    def _start(self) -> None:
        self._restarts, self._kill_at = False, None
        environment = self._give(self._watch.current)
        self._pid = start(
            self._command,
            lambda path: os.posix_spawn(path, self._command, environment, setsigmask=self._mask, setsigdef=PYTHONS_OWN),
        )

    def _seconds_to_wait(self) -> float:
        if self._kill_at is not None:
            return max(0.0, self._kill_at - time.monotonic())
        return self._watch.seconds_to_wait()

    def _take_signal(self, info: signal.struct_siginfo) -> None:
        if info.si_signo in ENDING:
            self._restarts, self._kill_at = False, None
        if info.si_code > 0:  # from the kernel: the terminal has told the command as well
            return
        second = info.si_signo == signal.SIGTERM and self._is_second_term()
        self._send(signal.SIGKILL if second else info.si_signo)

    def _is_second_term(self) -> bool:
        now = time.monotonic()
        before, self._term_at = self._term_at, self._term_at or now
        return before is not None and now - before > ONE_TERM_SECONDS

    def _send(self, number: int) -> None:
        try:
            os.kill(self._pid, number)  # that pid is the command's until we have reaped it
        except PermissionError:
            self._tell(f"the command cannot be sent signal {number}: it runs as another user")

    def _reap(self) -> int | None:
        """Return the exit code of the command if it ended. Other children too: as pid 1 we inherit everybody's."""
        ended = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                ended = code if code >= 0 else SIGNALLED - code
            elif pid == 0:
                return ended

    def _act_on_time(self) -> None:
        if self._kill_at is not None:
            if time.monotonic() >= self._kill_at:
                self._kill_at += GRACE_SECONDS
                self._send(signal.SIGKILL)
        elif (delivery := self._watch.take()) is not None and self._term_at is None:
            self._pass_on(delivery)

    def _pass_on(self, delivery: Delivery) -> None:
        if self._on_change is None:
            self._watch.current = delivery
            self._tell("values changed: restarting the command")
            self._restarts, self._kill_at = True, time.monotonic() + GRACE_SECONDS
            self._send(signal.SIGTERM)
            return
        try:
            self._give(delivery)
        except OperatorError as problem:
            self._tell(f"values changed, but {problem}")
            return
        self._watch.current = delivery
        self._tell(f"values changed: {self._on_change.name} to the command")
        self._send(self._on_change)
