"""Child processes that never come back into the code of their parent, and hold nothing of it that they do not need."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CRASHED = 70
FIRST_FD = 3


def fork(act: Callable[[], int]) -> int:
    """Start a child that does ``act`` and exits with what it returns; return its pid. Raises OSError.

    A child that fails tells why and ends: it must not unwind into being a second master.
    """
    pid = os.fork()
    if pid:
        return pid
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
