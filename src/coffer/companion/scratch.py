"""A folder in memory for a text in clear, gone when it is no longer needed, whatever ends the program.

Rule 1: the folder is made, used and removed with signals held back, so that none comes between.
Rule 2: whoever uses a folder holds a lock on it. After SIGKILL nobody does, and the next run removes it.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import signal
import tempfile
from contextlib import contextmanager

from coffer.errors import SettingsError
from coffer.files import is_in_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "coffer-edit-"
# What ends a program that does nothing about it, and that anybody sends on purpose.
ENDING = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM}
)


@contextmanager
def signals_held() -> Iterator[set[int]]:
    """Hold back ENDING and SIGCHLD; yield the mask that was before. What came meanwhile takes effect at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING | {signal.SIGCHLD})
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def folder(*, allow_disk: bool) -> Iterator[str]:
    """Make a folder that only we can enter, and remove it with all it holds. The caller holds signals back.

    Raises SettingsError where there is no place in memory for it, unless disk is allowed.
    """
    path, lock = _make(_parent(allow_disk))
    try:
        yield path
    finally:
        shutil.rmtree(path)
        os.close(lock)


def remove_left_behind() -> list[str]:
    """Remove the folders whose users were killed; return their paths."""
    return [path for place in _places() for path in glob.glob(f"{glob.escape(place)}/{PREFIX}*") if _remove_dead(path)]


def _remove_dead(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _make(parent: str) -> tuple[str, int]:
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # In the moment before it was locked, another run may have taken it for one left behind.
        if os.path.exists(path):
            return path, lock
        os.close(lock)


def _parent(allow_disk: bool) -> str:
    places = _places()
    for place in places:
        if os.access(place, os.W_OK | os.X_OK) and is_in_memory(place):
            return place
    if allow_disk:
        return places[-1]
    raise SettingsError(
        "no folder in memory to edit in: neither $XDG_RUNTIME_DIR nor /dev/shm is one",
        "--allow-disk edits in a folder on disk, from which deleted text can sometimes be recovered",
    )


def _places() -> list[str]:
    """Return where such folders may be, the best place first and a place on disk last."""
    places = [os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", os.environ.get("TMPDIR") or "/tmp"]
    return [place for place in dict.fromkeys(places) if place and os.path.isdir(place)]
