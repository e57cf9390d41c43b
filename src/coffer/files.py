"""How coffer treats a file that is not a key: reads a regular one whole, replaces one atomically, keeps it off disks.

Not here: key files, which the core reads (``identity``).
"""

from __future__ import annotations

import os
import stat

from coffer.errors import OperatorError

MEMORY_KINDS = ("tmpfs", "ramfs")
PIECE_BYTES = 65_536


def load(path: str, limit_bytes: int) -> bytes:
    """Return what is in a regular file. Raises OperatorError for any other kind, and for one over the limit."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OperatorError(f"{path}: not a regular file")
        data = _read(fd, status.st_size, limit_bytes)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(data) > limit_bytes:
        raise OperatorError(f"{path}: over {limit_bytes:,} bytes")
    return data


def _read(fd: int, size: int, limit_bytes: int) -> bytes:
    """Return all there is, but no more than one byte over the limit.

    The size is for a buffer that is not larger than it need be: a limit may be more than there is memory.
    """
    pieces = []
    left = limit_bytes + 1
    while left and (piece := os.read(fd, min(left, max(size + 1, PIECE_BYTES)))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def save(path: str, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file, or make it: all of ``data`` on disk under its name, or nothing changed. Raises OperatorError.

    A symbolic link is followed to the file it names, so that the link stays one. What is no regular file is left alone.
    """
    target = os.path.realpath(path)
    if os.path.lexists(target) and not os.path.isfile(target):
        raise OperatorError(f"{path}: not a regular file")
    scratch = f"{target}.{os.urandom(6).hex()}.new"
    try:
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            with open(fd, "wb") as file:
                os.fchmod(fd, mode)
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.rename(scratch, target)
        except BaseException:
            os.unlink(scratch)
            raise
        sync_directory(os.path.dirname(target))
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None


def is_scratch(name: str) -> bool:
    """Whether a file of this name may be what ``save`` left behind when it was killed."""
    saved, _, token = name.removesuffix(".new").rpartition(".")
    return bool(saved) and name.endswith(".new") and len(token) == 12 and not token.strip("0123456789abcdef")


def is_in_memory(path: str) -> bool:
    """Whether the file system that holds ``path`` never touches a disk, but for swap. Raises OSError."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            mount, _, kind = line.partition(" - ")
            if mount.split(" ")[2] == wanted:
                return kind.split(" ")[0] in MEMORY_KINDS
    return False


def sync_directory(path: str) -> None:
    """Put on disk which names a directory holds. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
