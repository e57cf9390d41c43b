"""A socket that gives whole frames, keeps what passed, and says how it ended.

Rule 1: a frame is refused after its three header bytes, before one byte of the body is read.
Rule 2: a deadline is for the whole frame, so that a dribble does not stretch it.
"""

import contextlib
import socket
import struct
import time

from .fault import Ended, Fault, Late
from .wire import Allowed

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Stream:
    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._taken = 0
        self._ended: Ended | None = None
        self.received, self.sent = bytearray(), bytearray()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.until(seconds)

    def until(self, seconds: float) -> None:
        """Set the deadline of all that follows, counted from now."""
        self._deadline = time.monotonic() + seconds

    def _remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late("a deadline passed")
        return left

    def send(self, data: bytes) -> None:
        try:
            self._sock.settimeout(self._remaining())
            self._sock.sendall(data)
        except TimeoutError:
            raise Late("a deadline passed while sending") from None
        except OSError:
            raise self._end("reset") from None
        self.sent += data

    def _end(self, how: str) -> Ended:
        """The first sign counts: after a reset was told once, the kernel reports a plain end."""
        self._ended = self._ended or Ended(how)
        return self._ended

    def _receive(self) -> None:
        try:
            self._sock.settimeout(self._remaining())
            data = self._sock.recv(65536)
        except TimeoutError:
            raise Late("a deadline passed") from None
        except OSError:
            raise self._end("reset") from None
        if not data:
            raise self._end("closed")
        self.received += data

    def peek(self, size: int) -> bytes:
        """Wait for so many bytes of the next frame and return them, still untaken."""
        while len(self.received) < self._taken + size:
            self._receive()
        return bytes(self.received[self._taken : self._taken + size])

    def frame(self, allowed: Allowed) -> bytes:
        """Return the next frame, header included, if its type and length are allowed here."""
        length, kind = struct.unpack(">HB", self.peek(3))
        if length not in allowed.get(kind, ()):
            raise Fault(f"type 0x{kind:02x} with {length} bytes is not allowed here")
        frame = self.peek(3 + length)
        self._taken += len(frame)
        return frame

    @property
    def has_more(self) -> bool:
        """Whether bytes arrived that nobody asked for."""
        return len(self.received) > self._taken

    def end(self, seconds: float) -> str:
        """Take everything up to the end; return "closed", "reset" or, when it does not come, "open"."""
        self.until(seconds)
        try:
            while True:
                self._receive()
        except Late:
            return "open"
        except Ended as ended:
            return ended.how

    def finish(self) -> None:
        """Send no more, but go on reading."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Wake whoever waits in this stream, from another thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        """Close so that the other end sees a reset and this one keeps no TIME_WAIT."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._sock.close()
