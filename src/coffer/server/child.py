"""Child processes that never come back into the code of their parent, and hold nothing of it that they do not need."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

CRASHED = 70
FIRST_FD = 3


def fork(act: Callable[[], int]) -> int:
    """Start a child that does ``act`` and exits with what it returns; return its pid. Raises OSError.

    A child that fails tells why and ends: it must not unwind into being a second master. It begins deaf to the
    signals of its parent: those are told to a whole group, and through the shared wakeup socket the parent would hear
    them twice.
    """
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if not pid:
            _go_deaf()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return pid or _live(act)


def _go_deaf() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _live(act: Callable[[], int]) -> NoReturn:
    code = CRASHED
    try:
        code = act()
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def keep_only(*fds: int) -> None:
    """In a child: close every descriptor but these and the standard streams."""
    low = FIRST_FD
    for fd in sorted(fds):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def name_end(code: int) -> str:
    """Say how a process ended: ``SIGKILL``, ``signal 39`` where one has no name, or ``exit code 1``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
