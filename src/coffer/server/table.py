"""A table between processes: a memfd that the loader fills and seals, and every worker maps read-only.

Not here: its layout, which is the core's (``TableWriter``, ``Table``).
"""

from __future__ import annotations

import fcntl
import os

from coffer._core import Locker, Table

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def make() -> int:
    """Return the descriptor of an empty memfd that can be sealed."""
    return os.memfd_create("coffer-table", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(fd: int) -> None:
    """Make the memfd immutable for everyone who has it."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)


def map_sealed(fd: int, locker: Locker) -> Table:
    """Return the table in a sealed memfd. Raises ValueError for one that somebody could still change."""
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS != SEALS:
        raise ValueError("the table is not sealed")
    return Table(fd, locker)
