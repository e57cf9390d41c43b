"""A program on a terminal of its own: type to it, wait for what it prints, press Ctrl-C."""

from __future__ import annotations

import os
import pty
import selectors
import subprocess
import termios
import time
from pathlib import Path

WAIT_SECONDS = 20
CTRL_C = b"\x03"


class Terminal:
    """``screen`` is all that it has shown so far, line ends as plain newlines."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            cwd=folder,
            start_new_session=True,
            # The first terminal that a session's leader opens becomes its controlling terminal, on Linux.
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )
        os.close(slave)
        self._shown = b""

    @property
    def screen(self) -> str:
        return self._shown.decode().replace("\r\n", "\n")

    @property
    def echoes(self) -> bool:
        """Whether what is typed now would be shown."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def wait_for(self, text: str) -> None:
        while text not in self.screen:
            assert self._read(), f"{text!r} never came:\n{self.screen}"

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def end(self) -> int:
        """Wait for the program's end and return its exit code, negative for a signal."""
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(WAIT_SECONDS)

    def _read(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            assert selector.select(WAIT_SECONDS), f"it neither prints nor ends:\n{self.screen}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self._shown += data
        return bool(data)


def settle(condition: object, seconds: float = 5) -> None:
    """Wait until ``condition()`` holds; fail when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
