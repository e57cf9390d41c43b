"""Build and start the programs of this room from Python: for its own tests, the fault tests and the benchmarks.

Keys are bytes here and reach the programs in files that only their owner can read.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PATIENCE_SECONDS = 120.0


class Client(NamedTuple):
    """A line of the clients file; without a public key the programs compute it."""

    secret: bytes
    bodies: Sequence[bytes] = ()
    public: bytes = b""
    digests: Sequence[bytes] = ()

    def line(self) -> str:
        words = [f"secret={self.secret.hex()}"]
        words += [f"public={self.public.hex()}"] if self.public else []
        words += [f"body={body.hex()}" for body in self.bodies]
        words += [f"digest={digest.hex()}" for digest in self.digests]
        return " ".join(words) + "\n"


class Loaded(NamedTuple):
    """What load printed: its JSON line, its exit code, and stderr."""

    figures: dict[str, Any]
    exit_code: int
    stderr: str


def build(goal: str = "all") -> Path:
    """Build with make and return the folder of the programs; ``goal`` may be ``sanitize``."""
    subprocess.run(["make", "--silent", "-C", HERE, goal], check=True)
    return HERE / "build" / ("sanitize" if goal == "sanitize" else "")


def write_private(path: Path, text: str) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


def write_clients(path: Path, clients: Iterable[Client]) -> Path:
    return write_private(path, "".join(client.line() for client in clients))


def start_load(programs: Path, server: tuple[str, str], *options: object) -> "subprocess.Popen[str]":
    """Start load against ``server``, an address and an id."""
    arguments = ["--connect", server[0], "--server", server[1], *map(str, options)]
    return subprocess.Popen([programs / "load", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_load(process: "subprocess.Popen[str]") -> Loaded:
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    return Loaded(json.loads(stdout) if stdout else {}, process.returncode, stderr)


def load(programs: Path, server: tuple[str, str], *options: object) -> Loaded:
    """Run load to its end."""
    return finish_load(start_load(programs, server, *options))


class Limit:
    """The limit as a process, while its ``with`` block runs or until it is stopped."""

    def __init__(self, programs: Path, key: Path, clients: Path, *options: object) -> None:
        self._command = [str(word) for word in (programs / "limit", "--key", key, "--clients", clients, *options)]
        self.figures: dict[str, Any] = {}

    def __enter__(self) -> "Limit":
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.address = self.process.stdout.readline().removeprefix("listening on ").strip()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> dict[str, Any]:
        """End it, once, and return its JSON line; empty when it died without one."""
        if self.process.stdout and not self.process.stdout.closed:
            self.process.terminate()
            try:
                stdout, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
            finally:
                self.process.kill()
            self.figures = json.loads(stdout) if stdout else {}
        return self.figures
