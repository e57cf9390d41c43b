"""Servers as real processes, and what the operating system says they cost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any, Self

    from benchmarks.measure.place import Place

LOAD = Path(__file__).parents[1] / "load" / "build"
PROGRAMS = Path(sys.executable).parent
TABLE = "memfd:coffer-table"


class Server:
    """A process that listens, started in ``with``; ``cpu_seconds`` counts it and all its living children."""

    def __init__(self, name: str, command: Sequence[str | Path]) -> None:
        self.name = name
        self._command = [str(word) for word in command]
        self.address = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"listening on (\S+)", line):
                self.address = found[1]
                break
        else:
            raise RuntimeError(f"{self.name} did not start")
        time.sleep(0.3)
        self.pids = [self._process.pid, *children(self._process.pid)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return sum(_cpu(pid) for pid in self.pids)

    def memory_bytes(self) -> int:
        """All that its processes hold: their proportional set sizes, and each table in memory once and whole.

        A page of a table that no process has looked at yet is in no set size, and is memory all the same.
        """
        return memory_of(self._process.pid) + _tables(self._process.pid)


def coffer(place: Place, *flags: str) -> Server:
    """coffer-server, one worker, all limits on but the one on connections of a source, as all load has one source."""
    return Server(
        "coffer",
        [
            PROGRAMS / "coffer-server",
            "--key",
            place.server_key,
            "--companion",
            place.companion,
            "--definition",
            place.definition,
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--max-connections-per-source",
            "20000",
            *flags,
        ],
    )


def limit(place: Place) -> Server:
    """The C loop that does only the unavoidable."""
    return Server(
        "limit",
        [LOAD / "limit", "--key", place.server_key, "--clients", place.clients, "--listen", "127.0.0.1:0"],
    )


def load(
    server: Server, place: Place, sessions: int, width: int = 16, clients: Path | None = None, *flags: str
) -> dict[str, Any]:
    """Run so many sessions against the server; return what the load generator counted. Every one must succeed."""
    done = subprocess.run(
        [
            LOAD / "load",
            "--connect",
            server.address,
            "--server",
            place.server,
            "--clients",
            clients or place.clients,
            "--sessions",
            str(sessions),
            "--width",
            str(width),
            *flags,
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{server.name}: {done.stdout} {done.stderr}")
    counted: dict[str, Any] = json.loads(done.stdout)
    return counted


def cpu_of(pid: int) -> float:
    """User and system seconds of a process and its children so far."""
    return sum(_cpu(each) for each in (pid, *children(pid)))


def memory_of(pid: int) -> int:
    """The proportional set sizes of a process and its children, without the tables of coffer-server's."""
    return sum(_pss(each) for each in (pid, *children(pid)))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu(pid: int) -> float:
    """The time that the scheduler gave to its living threads: what ``stat`` tells in hundredths, in nanoseconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _pss(pid: int) -> int:
    """Proportional set size of a process, without the tables it maps."""
    size, counted = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counted = TABLE not in line
        elif line.startswith("Pss:") and counted:
            size += int(line.split()[1]) * 1024
    return size


def _tables(pid: int) -> int:
    links = [link for link in Path(f"/proc/{pid}/fd").iterdir() if TABLE in str(link.readlink())]
    return sum(link.stat().st_blocks * 512 for link in links)
