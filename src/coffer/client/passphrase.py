"""The passphrase of a locked key file: from a file, or typed on the terminal without being shown.

Not here: what is done with it, which is the core's.
"""

from __future__ import annotations

import os
import stat

from coffer.errors import KeyFileError, SettingsError

LIMIT_BYTES = 4096


def obtain(path: str | None) -> bytes:
    """Return the passphrase in a file, or ask for it if there is no file. Raises OperatorError."""
    return ask() if path is None else read(path)


def read(path: str) -> bytes:
    """Return what a file or pipe holds, without the end of its line. Raises KeyFileError."""
    try:
        with open(path, "rb") as file:
            _check(path, os.fstat(file.fileno()))
            text = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    text = text.removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(text) <= LIMIT_BYTES:
        raise KeyFileError(f"{path}: a passphrase has 1 to {LIMIT_BYTES:,} bytes")
    return text


def _check(path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        raise KeyFileError(f"{path}: a passphrase that others can read", f"chmod 0600 {path}")


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
