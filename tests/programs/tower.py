"""A coffer-server that a test watches from all sides: its log, its processes, its control socket, raw sockets to it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from house import House

from coffer.protocol import ClientSession

PATIENCE_SECONDS = 20.0
ACCEPTED = "03"  # a connected Unix socket that some process has, in /proc/net/unix
TABLES = '[web]\nPASSWORD = "canary-5d1e-never-seen"\n[worker]\nTOKEN = "canary-77aa-never-seen"\n'
CANARIES = ("canary-5d1e-never-seen", "canary-77aa-never-seen")


def until(holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS, what: Callable[[], object] = str) -> Any:
    """Wait until ``holds()``, and return what it returned."""
    limit = time.monotonic() + seconds
    while not (held := holds()):
        assert time.monotonic() < limit, what()
        time.sleep(0.01)
    return held


class Tower(House):
    """A house whose server writes its log to a file, has a run directory, and any settings."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(folder, environment)
        self.run_dir = folder / "run"
        self.run_dir.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.seal(TABLES)

    @property
    def log_path(self) -> Path:
        return self.folder / f"log-{self._starts}"

    def read_log(self) -> str:
        return self.log_path.read_text()

    def command(self, *options: str, port: int = 0) -> list[str]:
        """The command line that serves this house; further ``--key`` and the like may follow."""
        listen = () if "--listen" in options else ("--listen", f"127.0.0.1:{port}")
        workers = () if "--workers" in options else ("--workers", "1")
        return [
            "coffer-server", "--key", "server.key", "--companion", self.id("companion"),
            "--definition", "definition.coffer", "--run-dir", self.run_dir.name, *listen, *workers, *options,
        ]  # fmt: skip

    def launch(self, *options: str, port: int = 0, env: dict[str, str] | None = None, **how: Any) -> None:
        """Start the server and wait for nothing."""
        self._starts += 1
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(*options, port=port), cwd=self.folder, env=self.environment | (env or {}),
                stdout=log, **({"stderr": log} | how),
            )  # fmt: skip

    def open(self, *options: str, **how: Any) -> Tower:
        """Start the server and wait until it listens."""
        self.launch(*options, **how)
        self.port = int(self.await_line(r"listening on \S+:([0-9]+)")[1])
        return self

    def await_line(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> re.Match[str]:
        return until(lambda: re.search(pattern, self.read_log()), seconds, lambda: (pattern, self.read_log()))

    def end(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Signal the server and return its exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def reload(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["coffer-server", "reload", "--run-dir", self.run_dir.name], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    @property
    def askers(self) -> int:
        """How many wait on a control socket of this name, accepted and not yet answered."""
        path = f"{self.run_dir.name}/control.sock"
        lines = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
        return sum(1 for line in lines if line[-1] == path and line[5] == ACCEPTED)

    @property
    def children(self) -> list[int]:
        assert self.process
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    # -- clients

    def connect(self, *, source: str = "127.0.0.1", room: int = 0, host: str = "127.0.0.1") -> socket.socket:
        sock = socket.socket()
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.settimeout(20)
        try:
            sock.bind((source, 0))
            sock.connect((host, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def session(self, name: str = "web", *, server: str = "server") -> ClientSession:
        return ClientSession(self.keypairs[name], self.keypairs[server].public)

    def linked(self, name: str = "web", **how: Any) -> tuple[socket.socket, ClientSession, bytes]:
        """Come as far as Link; return the socket, the session, and Get as it is to be sent."""
        sock, session = self.connect(**how), self.session(name)
        sock.sendall(session.hello)
        get = session.receive(take(sock, 75))
        assert session.linked, session.fault
        return sock, session, get

    def fetch(self, name: str = "web", *, server: str = "server", **how: Any) -> bytes:
        """Return the response as CBOR."""
        sock, session = self.connect(**how), self.session(name, server=server)
        with sock:
            sock.sendall(session.hello)
            while not session.closed:
                data = sock.recv(65536)
                assert data, "closed before the answer"
                if reply := session.receive(data):
                    sock.sendall(reply)
            assert session.fault is None and session.response is not None, (session.fault, session.refusal)
        return session.response


class Manager:
    """What listens at $NOTIFY_SOCKET; ``heard`` are its datagrams so far."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        while said := self._sock.recv(4096):
            self.heard.append(said.decode())

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.path)
        self._thread.join()
        self._sock.close()


def take(sock: socket.socket, size: int) -> bytes:
    said = b""
    while len(said) < size:
        part = sock.recv(size - len(said))
        assert part, f"closed after {len(said)} bytes"
        said += part
    return said


def ending(sock: socket.socket) -> tuple[int, str]:
    """Read to the end; return how many bytes came, and "closed" or "reset"."""
    count = 0
    with sock:
        try:
            while part := sock.recv(65536):
                count += len(part)
        except ConnectionResetError:
            return count, "reset"
    return count, "closed"


def is_accepted(sock: socket.socket) -> bool:
    """Whether the server has taken this connection: its end of it has no inode before, only a place in the queue."""
    theirs, ours = (f":{end[1]:04X}" for end in (sock.getpeername(), sock.getsockname()))
    for line in Path("/proc/net/tcp").read_text().splitlines():
        _, local, remote, *_, inode = line.split()[:10]
        if local.endswith(theirs) and remote.endswith(ours):
            return inode != "0"
    return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def contains_none(texts: Iterable[str]) -> bool:
    joined = "\n".join(texts)
    return not any(canary in joined for canary in CANARIES)
