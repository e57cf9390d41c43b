"""Lines on stderr: what the server did, and at which step a peer failed.

Rule 1: a line about a peer never holds a byte of what it sent, and there are only so many a second.
Rule 2: a line is one write, so that lines of several processes do not mix, and a full pipe loses it
rather than stop the server. It is asked first: to make it non-blocking would do so for all who share it.
"""

from __future__ import annotations

import os
import select

from coffer.ending import escape

STDERR = 2
PEER_LINES_A_SECOND = 10


class Log:
    """Writes lines, those about failing peers at most ten a second over all workers."""

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
        self._allowance = PEER_LINES_A_SECOND
        self._turn, self._turns = 0, 1
        self._second = 0
        self._said = 0
        self._unsaid = 0
        self._room = select.poll()
        self._room.register(STDERR, select.POLLOUT)

    def share(self, number: int, workers: int) -> None:
        """Take this worker's share of the ten lines a second; of more than ten workers, each has its seconds."""
        self._allowance = max(1, PEER_LINES_A_SECOND // workers)
        self._turns = -(-workers // PEER_LINES_A_SECOND)
        self._turn = number % self._turns

    def say(self, text: str) -> None:
        """Write one line, or lose it."""
        if not self._room.poll(0):
            return
        try:
            os.write(STDERR, f"coffer-server: {escape(text)}\n".encode(errors="backslashreplace"))
        except OSError:
            return

    def say_of_peer(self, text: str, moment: float) -> None:
        """Write one line about a peer, unless this second has had its lines; then it is only counted."""
        second = int(moment)
        if second != self._second:
            self._second, self._said = second, 0
        if self._said >= self._allowance or second % self._turns != self._turn:
            self._unsaid += 1
            return
        left_out = f" (before it, {self._unsaid:,} more lines about peers were left out)" if self._unsaid else ""
        self._unsaid = 0
        self._said += 1
        self.say(text + left_out)
