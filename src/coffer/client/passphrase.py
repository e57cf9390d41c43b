"""The passphrase of a locked key file: from a file, or typed on the terminal without being shown.

Not here: what is done with it, which is the core's.
"""

from __future__ import annotations

import os

from coffer.errors import SettingsError
from coffer.files import load

LIMIT_BYTES = 4096


def obtain(path: str | None) -> bytes:
    """Return the passphrase in a file, without one line end after it; ask for it if there is no file.

    Raises OperatorError.
    """
    if path is None:
        return ask()
    return load(path, LIMIT_BYTES).removesuffix(b"\n").removesuffix(b"\r")


def ask() -> bytes:
    """Return what is typed on the controlling terminal. Raises SettingsError if there is none."""
    try:
        # getpass would fall back to standard input, and echo.
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        raise SettingsError(
            "the key is locked with a passphrase, and there is no terminal to ask on", "--passphrase-file FILE"
        ) from None
    from getpass import getpass

    try:
        return getpass("passphrase of the key: ").encode()
    except EOFError:
        raise SettingsError("the key is locked with a passphrase, and none was typed") from None
