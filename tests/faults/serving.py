"""coffer-server as a process, with everything about it that a test asks: its log, its processes, their cost."""

import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from peer.client import fetch
from peer.response import Value

from .fleet import Fleet

SCRIPTS = Path(sysconfig.get_path("scripts"))
PATIENCE_SECONDS = 20.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
TRACES = ("Traceback", "internal error", "Error:")


def until(holds: Callable[[], object], seconds: float = PATIENCE_SECONDS, what: str = "") -> float:
    """Wait until ``holds()`` and return the seconds it took; fail after ``seconds``."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + seconds, f"still not so after {seconds} s: {what or holds}"
        time.sleep(0.01)
    return time.monotonic() - began


class Server:
    """A running server of a fleet, while its ``with`` block runs or until it is stopped."""

    def __init__(
        self,
        fleet: Fleet,
        *options: object,
        workers: int = 2,
        port: int = 0,
        program: Sequence[object] = (SCRIPTS / "coffer-server",),
        environment: dict[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.fleet = fleet
        self.run_dir = fleet.folder / "run"
        self.run_dir.mkdir(exist_ok=True)
        self.log_path = fleet.folder / "server.log"
        self._command = [
            *program, "--key", fleet.key, "--companion", fleet.companion_id, "--definition", fleet.definition,
            "--listen", f"127.0.0.1:{port}", "--workers", workers, "--run-dir", self.run_dir, *options,
        ]  # fmt: skip
        self._workers = workers
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
        self._environment |= environment or {}
        self._prepare = prepare

    def __enter__(self) -> "Server":
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self._command], stdout=log, stderr=log, env=self._environment,
                preexec_fn=self._prepare,
            )  # fmt: skip
        try:
            until(lambda: "listening on" in self.log or self.process.poll() is not None)
            assert self.process.poll() is None, self.log
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._kill()

    def _kill(self) -> None:
        """End the master, which ends all; only what nobody ended before."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def port(self) -> int:
        found = re.search(r"listening on \S+:(\d+)", self.log)
        assert found, self.log
        return int(found[1])

    @property
    def target(self) -> tuple[str, str]:
        """What load is told: address and id."""
        return f"127.0.0.1:{self.port}", self.fleet.server_id

    @property
    def url(self) -> str:
        return f"coffer://{self.fleet.server_id}@127.0.0.1:{self.port}"

    @property
    def master(self) -> int:
        return self.process.pid

    @property
    def children(self) -> list[int]:
        return children(self.master)

    @property
    def pids(self) -> list[int]:
        return [self.master, *self.children]

    def fetch(self, name: str = "client-0", seconds: float = 5.0) -> dict[str, Value]:
        """Ask once, as one client, by the second implementation."""
        return fetch(self.fleet.where(self.port), self.fleet.clients[name], seconds)

    def reload(self) -> "subprocess.CompletedProcess[str]":
        """Run `coffer-server reload` to its end."""
        command = (SCRIPTS / "coffer-server", "reload", "--run-dir", self.run_dir)
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        return self.process.wait(seconds)

    def check_sound(self) -> None:
        """Nobody crashed, nobody was replaced, nothing that looks like a traceback was written."""
        assert not any(trace in self.log for trace in TRACES), self.log
        assert "a worker died" not in self.log, self.log


def children(pid: int) -> list[int]:
    """The living children of a process, the oldest first."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def cpu_seconds(pids: Sequence[int]) -> float:
    """The processor time these processes have taken."""
    taken = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        taken += int(fields[11]) + int(fields[12])
    return taken / TICKS_A_SECOND


def resident_kib(pids: Sequence[int]) -> int:
    """The memory of their own that these processes have in use, in KiB; what they share counts once each."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB for pid in pids)
