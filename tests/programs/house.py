"""One server with its companion and clients, in a folder: what the tests of coffer-client talk to.

The keys and the sealed definition are made with the library, the server is the program.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from coffer._core import Keypair
from coffer.envelope import format_armour, seal
from coffer.identity import format_id, save_keypair

LISTENING = re.compile(r"listening on ([0-9.]+):([0-9]+)")


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class House:
    """``address`` and ``web.key`` are what a client needs; ``seal`` and ``change`` put a definition in force."""

    names: tuple[str, ...] = ("server", "companion", "web", "worker", "stranger")

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.serial = 0
        self.port = 0
        self.log = ""
        self._server: subprocess.Popen[bytes] | None = None
        self.make_keys()

    def make_keys(self) -> None:
        self.keypairs = {name: Keypair.generate() for name in self.names}
        for name, keypair in self.keypairs.items():
            save_keypair(str(self.folder / f"{name}.key"), keypair)

    def id(self, name: str) -> str:
        return format_id(self.keypairs[name].public)

    @property
    def pid(self) -> int:
        assert self._server
        return self._server.pid

    @property
    def address(self) -> str:
        return f"coffer://{self.id('server')}@127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the server, its workers included: connections come about, and nothing is ever said on them."""
        pids = [self.pid, *children_of(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def settings(self, client: str = "web") -> dict[str, str]:
        return {"COFFER_SERVER": self.address, "COFFER_KEY": str(self.folder / f"{client}.key")}

    def seal(self, tables: str, clients: tuple[str, ...] = ("web", "worker")) -> None:
        """Write the sealed definition that gives these clients these tables."""
        self.serial += 1
        listed = "".join(f'{name} = "{self.id(name)}"\n' for name in clients)
        scratch = self.folder / "definition.new"
        scratch.write_bytes(self.sealed(f"[clients]\n{listed}{tables}".encode()))
        scratch.rename(self.folder / "definition.coffer")

    def sealed(self, text: bytes) -> bytes:
        """Return the file of a sealed definition under the serial that it is the turn of."""
        sealed = seal(text, self.keypairs["companion"], self.keypairs["server"].public, self.serial)
        return format_armour(sealed)

    def start(self, *options: str) -> None:
        """Start the server, on the port it had before if there was one."""
        command = ["coffer-server", "--key", "server.key", "--companion", self.id("companion"), "--workers", "1"]
        command += ["--definition", "definition.coffer", "--listen", f"127.0.0.1:{self.port}", *options]
        self._server = subprocess.Popen(command, cwd=self.folder, env=self.environment, stderr=subprocess.PIPE)
        self.port = int(self._wait_for(LISTENING)[2])

    def change(self, tables: str, clients: tuple[str, ...] = ("web", "worker")) -> None:
        """Put another definition in force."""
        self.seal(tables, clients)
        assert self._server
        self._server.send_signal(signal.SIGHUP)
        self._wait_for(re.compile(f"serving serial {self.serial}:"))

    def stop(self) -> None:
        if self._server:
            self._server.terminate()
            _, rest = self._server.communicate(timeout=20)
            self.log += rest.decode()
            assert self._server.returncode == 0, self.log
            assert "Traceback" not in self.log, self.log
            self._server = None

    def _wait_for(self, wanted: re.Pattern[str]) -> re.Match[str]:
        assert self._server and self._server.stderr
        deadline = time.monotonic() + 20
        with selectors.DefaultSelector() as selector:
            selector.register(self._server.stderr, selectors.EVENT_READ)
            while not (found := wanted.search(self.log)):
                assert selector.select(deadline - time.monotonic()), self.log
                data = os.read(self._server.stderr.fileno(), 65536)
                assert data, self.log
                self.log += data.decode()
        return found
