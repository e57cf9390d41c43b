"""What a person types unseen: asked for on the terminal itself, whatever stdin and stdout are.

Rule: what is typed is not echoed, and the terminal is put right again however the prompt ends.
"""

from __future__ import annotations

import os
import sys

from coffer.ending import escape
from coffer.errors import SettingsError
from coffer.identity import load_passphrase

TERMINAL = "/dev/tty"
PASSPHRASE_HINT = "name a file that holds the passphrase: --passphrase-file FILE"


def ask_hidden(what: str, hint: str) -> str:
    """Return one line typed unseen. Raises SettingsError with ``hint`` where there is no terminal to ask on."""
    _check_terminal(what, hint)
    from getpass import getpass

    try:
        return getpass(f"{escape(what)}: ")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    except EOFError:
        raise SettingsError(f"{what}: nothing was typed", hint) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{what}: what was typed is not UTF-8", hint) from None


def obtain_passphrase(key: str, file: str | None) -> bytes:
    """Return the passphrase of the key file ``key``: what ``file`` holds, or what is typed. Raises OperatorError."""
    if file is not None:
        return load_passphrase(file)
    return ask_hidden(f"passphrase for {key}", PASSPHRASE_HINT).encode()


def _check_terminal(what: str, hint: str) -> None:
    """getpass would fall back to stdin, and echo."""
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        raise SettingsError(f"{what}: there is no terminal to ask on", hint) from None
