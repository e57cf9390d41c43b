"""Values as files: one each, in a folder that only we can enter and that is in memory.

Not here: which values (``delivery``).

Rule 1: the folder is for this alone. What lies in it was put there by an earlier run, or it is refused; so what
went out of the shard can go out of the folder.
"""

from __future__ import annotations

import os
import stat

from coffer.environment import is_name
from coffer.errors import OperatorError
from coffer.files import is_in_memory, is_scratch, save

MODE = 0o400


def fill(folder: str, texts: dict[str, str]) -> None:
    """Put each value into a file of its own, and take away the files of values that are gone. Raises OperatorError.

    Each file is replaced in one step: whoever reads it sees the old value or the new one.
    """
    try:
        before = _make(folder)
        for name, text in texts.items():
            save(os.path.join(folder, name), text.encode(), mode=MODE)
        for name in before - texts.keys():
            _take_away(folder, name)
    except OSError as error:
        raise OperatorError(f"{folder}: {error.strerror}") from None


def clear(folder: str) -> None:
    """Take away all that ``fill`` put there and nobody else took away. Raises OperatorError."""
    try:
        for name in _check(folder):
            _take_away(folder, name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OperatorError(f"{folder}: {error.strerror}") from None


def _take_away(folder: str, name: str) -> None:
    try:
        os.unlink(os.path.join(folder, name))
    except FileNotFoundError:
        return


def _make(folder: str) -> set[str]:
    """Make the folder unless it is there; return the names of the files in it. Raises OperatorError and OSError."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return _check(folder)
    try:
        return _check(folder)
    except OperatorError:
        os.rmdir(folder)
        raise


def _check(folder: str) -> set[str]:
    """Return the names of the files that are there. Raises OperatorError and OSError."""
    status = os.stat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise OperatorError(f"{folder}: not a folder that only you can enter", f"chmod 0700 {folder}, or name another")
    if not is_in_memory(folder):
        raise OperatorError(f"{folder}: on disk", "name one in memory: under $XDG_RUNTIME_DIR, /run or /dev/shm")
    names = set(os.listdir(folder))
    for name in names:
        if not _is_ours(name, os.lstat(os.path.join(folder, name))):
            raise OperatorError(f"{folder}: holds {name!r}, which coffer did not put there", "name a folder of its own")
    return names


def _is_ours(name: str, status: os.stat_result) -> bool:
    known = is_name("_" + name) or is_scratch(name)
    return known and stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == MODE
