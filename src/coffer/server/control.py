"""The control socket: how `coffer-server reload` asks a running server, and waits for its verdict.

One connection, one question (a line), one verdict (a line of JSON). Only root and the server's own user may ask.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import struct
from typing import NamedTuple

from coffer.errors import OperatorError, SettingsError, UnreachableError

SOCKET_NAME = "control.sock"
RELOAD = b"reload\n"
ANSWER_LIMIT_BYTES = 65_536
PEER_CREDENTIALS = struct.Struct("3i")
QUESTION_SECONDS = 1.0


class Verdict(NamedTuple):
    """What came of a reload; ``code`` is the exit code it stands for."""

    message: str
    hint: str | None = None
    code: int = 0


def bind(directory: str) -> socket.socket:
    """Return the listening control socket in ``directory``, mode 0600. Raises SettingsError."""
    path = os.path.join(directory, SOCKET_NAME)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen()
    except OSError as error:
        sock.close()
        raise SettingsError(f"--run-dir: {path}: {error.strerror or error}") from None
    except SettingsError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def unbind(directory: str) -> None:
    """Take the control socket away again."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(directory, SOCKET_NAME))


def _clear(path: str) -> None:
    """Remove the socket of a server that is gone; refuse when it is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)
            return
    raise SettingsError(f"--run-dir: {path}: another coffer-server is running there", "give each its own --run-dir")


def takes_reload(connection: socket.socket) -> bool:
    """Whether somebody who may ask for a reload does so; afterwards nothing on the connection blocks for long."""
    connection.settimeout(QUESTION_SECONDS)
    try:
        return _may_ask(connection) and connection.recv(64) == RELOAD
    except OSError:
        return False


def _may_ask(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to root or to the server's own user."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    return PEER_CREDENTIALS.unpack(raw)[1] in (0, os.geteuid())


def format_verdict(verdict: Verdict) -> bytes:
    """Return the line that answers a question."""
    return json.dumps(verdict._asdict()).encode() + b"\n"


def ask_reload(directory: str) -> str:
    """Have the server reload and return what it says. Raises UnreachableError, or OperatorError with its reason."""
    path = os.path.join(directory, SOCKET_NAME)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
            sock.sendall(RELOAD)
            verdict = Verdict(**json.loads(_read_line(sock)))
        except (OSError, ValueError) as error:
            reason = error.strerror or error if isinstance(error, OSError) else "it went away without an answer"
            raise UnreachableError(f"{path}: {reason}", "is coffer-server running with this --run-dir?") from None
    if verdict.code:
        raise OperatorError(verdict.message, verdict.hint, exit_code=verdict.code)
    return verdict.message


def _read_line(sock: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"\n") and len(said) < ANSWER_LIMIT_BYTES:
        part = sock.recv(4096)
        if not part:
            break
        said += part
    return said
