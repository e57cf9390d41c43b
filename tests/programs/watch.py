"""What happens in folders while a test runs: every file made, written or renamed there, as the kernel tells it."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

CREATED, MODIFIED, MOVED_TO = 0x100, 0x2, 0x80
_EVENT = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


class Watch:
    """``names()`` are the files that anything happened to in these folders since it was made, each once, in order."""

    def __init__(self, *folders: Path) -> None:
        self._fd = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._fd >= 0, os.strerror(ctypes.get_errno())
        self._folders = {self._add(folder): folder for folder in folders}

    def _add(self, folder: Path) -> int:
        number = _LIBC.inotify_add_watch(self._fd, os.fsencode(folder), CREATED | MODIFIED | MOVED_TO)
        assert number >= 0, os.strerror(ctypes.get_errno())
        return int(number)

    def names(self) -> list[str]:
        found: dict[str, None] = {}
        while data := self._read():
            at = 0
            while at < len(data):
                number, _, _, length = _EVENT.unpack_from(data, at)
                name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0").decode()
                found[str(self._folders[number] / name)] = None
                at += _EVENT.size + length
        return list(found)

    def close(self) -> None:
        os.close(self._fd)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""
