"""What the three programs share: how the command line is read, and how an error looks and exits.

Not here: any verb. Exit codes are on the error classes (``errors``); usage is 2, as with argparse; an
interrupt is 130, a reader that went away 141, as a shell counts signals.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys

from coffer.errors import CofferError, OperatorError
from coffer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

USAGE = 2
INTERRUPTED = 130
READER_GONE = 141
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Parser(argparse.ArgumentParser):
    """argparse, without abbreviated flags, and with its errors in the form of all other errors."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)

    def add_version(self) -> None:
        self.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")

    def error(self, message: str) -> NoReturn:
        program = self.prog.split()[0]
        report(program, message, f"{self.prog} --help")
        sys.exit(USAGE)


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
    try:
        code = act()
        if sys.stdout is not None:
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
        if error.errno not in NO_ROOM:
            raise
        _drop_output()
        report(program, f"standard output: {error.strerror}")
        return OperatorError.exit_code
    return code


def _drop_output() -> None:
    """Let go of what could not be written: the interpreter flushes once more at exit, and would complain there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
