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
PROBE_SECONDS = 1.0
SHORTER = "a path of a socket has at most 107 bytes: give a shorter --run-dir"


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
        _check_owner(directory)
        _clear(path)
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen()
    except OSError as error:
        sock.close()
        reason = error.strerror or error
        raise SettingsError(f"--run-dir: {path}: {reason}", SHORTER if reason == error else None) from None
    except SettingsError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def unbind(directory: str) -> None:
    """Take the control socket away again."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(directory, SOCKET_NAME))


def _check_owner(directory: str) -> None:
    """Refuse a directory in which others could put a socket of theirs in the place of ours."""
    status = os.stat(directory)
    if status.st_uid not in (0, os.geteuid()):
        raise SettingsError(f"--run-dir: {directory}: owned by user {status.st_uid}, who is neither you nor root",
                            "let the server have a folder of its own")
    mode = stat.S_IMODE(status.st_mode)
    # Our own group is let be: where each user has one, with umask 0002, every folder is its group's to write.
    others = stat.S_IWOTH if status.st_gid == os.getegid() else stat.S_IWGRP | stat.S_IWOTH
    if mode & others:
        raise SettingsError(f"--run-dir: {directory}: others may write there (mode {mode:04o})",
                            f"chmod go-w {directory}, or let the server have a folder of its own")


def _clear(path: str) -> None:
    """Remove the socket of a server that is gone; refuse when it is not, and when something else stands there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a file"
        raise SettingsError(f"--run-dir: {path}: {kind} stands where the control socket belongs", "remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except (TimeoutError, BlockingIOError):
            pass  # more ask than it hears, so somebody is there
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
