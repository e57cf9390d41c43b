"""What the companion says to a person, and asks on the terminal itself, whatever stdin and stdout are.

Not here: data, which goes to stdout and is written by the verb that has it.

Rule: what is typed at a hidden prompt is not echoed, and the terminal is put right again however the prompt ends.
"""

from __future__ import annotations

import getpass
import os
import sys

from coffer.errors import SettingsError
from coffer.program import escape

PROGRAM = "coffer-companion"
TERMINAL = "/dev/tty"


def say(text: str) -> None:
    """Print one line about what was done, on stderr; what could steer a terminal is made visible.

    Data that was printed before comes before it, also where both go to one log.
    """
    sys.stdout.flush()
    print(escape(text), file=sys.stderr)


def ask_hidden(what: str, hint: str) -> str:
    """Return one line typed unseen. Raises SettingsError with ``hint`` where there is no terminal to ask on."""
    _check_terminal(what, hint)
    try:
        return getpass.getpass(f"{escape(what)}: ")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    except EOFError:
        raise SettingsError(f"{what}: nothing was typed") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{what}: what was typed is not UTF-8", hint) from None


def ask_to_go_on(question: str) -> bool:
    """Whether the answer on the terminal is anything but q; without a terminal, False."""
    try:
        with open(TERMINAL, encoding="utf-8", errors="replace") as source, open(TERMINAL, "w") as target:
            target.write(question)
            target.flush()
            answer = source.readline()
    except OSError:
        return False
    return answer != "" and not answer.lower().startswith("q")


def _check_terminal(what: str, hint: str) -> None:
    """getpass would fall back to stdin, and echo."""
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        raise SettingsError(f"{what}: there is no terminal to ask on", hint) from None


def count(number: int, thing: str) -> str:
    """Return ``1 client``, ``1,234 clients``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
