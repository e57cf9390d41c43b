"""How a program ends: what its errors look like, and with which code it exits.

Not here: any verb, and reading the command line (``program``, which brings argparse and its 12 ms with it). Exit codes
are on the error classes (``errors``); usage is 2, as with argparse; an interrupt is 130, a reader that went away 141,
as a shell counts signals.
"""

from __future__ import annotations

import errno
import os
import sys

from coffer.errors import CofferError, OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

USAGE = 2
SIGNALLED = 128  # and the number of the signal
INTERRUPTED = 130
READER_GONE = 141
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def escape(text: str) -> str:
    """``text`` with everything that could steer a terminal or forge a second line made visible."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def report(program: str, message: str, hint: str | None = None) -> None:
    """Print ``program: error: …`` and, if there is one, ``hint: …`` on stderr."""
    lines = f"{program}: error: {escape(message)}\n"
    if hint:
        lines += f"hint: {escape(hint)}\n"
    if sys.stderr is not None:  # None: started with it closed
        sys.stderr.write(lines)


def run(program: str, act: Callable[[], int]) -> int:
    """Return the exit code of ``act()``; what coffer raises on purpose becomes its two lines and its code."""
    is_closed = _hold_standard_descriptors()
    try:
        code = _code_of(act)
        sys.stdout.flush()
    except CofferError as error:
        report(program, str(error), error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except OSError as error:
        if error.filename is not None or error.errno not in ((errno.EBADF,) if is_closed else NO_ROOM):
            raise
        _drop_output()
        report(program, f"standard output: {'closed' if is_closed else error.strerror}")
        return OperatorError.exit_code
    return code


def _code_of(act: Callable[[], int]) -> int:
    """Return the exit code of ``act()``, also when it ends the program itself, as argparse does after the help."""
    try:
        return act()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


def _hold_standard_descriptors() -> bool:
    """See that no file which is opened later gets the number of a standard stream that is closed; is standard output?

    What is written to a standard output that is closed fails, as it does in C. The command that ``coffer-client run``
    becomes finds them closed as we did.
    """
    for fd, way in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, way | os.O_CLOEXEC)
    is_closed = sys.stdout is None
    if is_closed:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    # A name may have letters that a locale lacks.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return is_closed


def _drop_output() -> None:
    """Let go of what could not be written: the interpreter flushes once more at exit, and would complain there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
