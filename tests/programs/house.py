"""One server with its companion and clients, in a folder: what the tests of coffer-client talk to.

The keys and the sealed definition are made with the library, the server is the program.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from pathlib import Path

from coffer._core import Keypair
from coffer.envelope import format_armour, seal
from coffer.identity import format_id, save_keypair

LISTENING = re.compile(r"listening on ([0-9.]+):([0-9]+)")


class House:
    """``address`` and ``web.key`` are what a client needs; ``seal`` and ``change`` put a definition in force."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.keypairs = {name: Keypair.generate() for name in ("server", "companion", "web", "worker", "stranger")}
        for name, keypair in self.keypairs.items():
            save_keypair(str(folder / f"{name}.key"), keypair)
        self.serial = 0
        self.port = 0
        self.log = ""
        self._server: subprocess.Popen[bytes] | None = None

    def id(self, name: str) -> str:
        return format_id(self.keypairs[name].public)

    @property
    def address(self) -> str:
        return f"coffer://{self.id('server')}@127.0.0.1:{self.port}"

    def settings(self, client: str = "web") -> dict[str, str]:
        return {"COFFER_SERVER": self.address, "COFFER_KEY": str(self.folder / f"{client}.key")}

    def seal(self, tables: str, clients: tuple[str, ...] = ("web", "worker")) -> None:
        """Write the sealed definition that gives these clients these tables."""
        self.serial += 1
        listed = "".join(f'{name} = "{self.id(name)}"\n' for name in clients)
        text = f"[clients]\n{listed}{tables}"
        sealed = seal(text.encode(), self.keypairs["companion"], self.keypairs["server"].public, self.serial)
        scratch = self.folder / "definition.new"
        scratch.write_bytes(format_armour(sealed))
        scratch.rename(self.folder / "definition.coffer")

    def start(self) -> None:
        """Start the server, on the port it had before if there was one."""
        command = ["coffer-server", "--key", "server.key", "--companion", self.id("companion"), "--workers", "1"]
        command += ["--definition", "definition.coffer", "--listen", f"127.0.0.1:{self.port}"]
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
            assert self._server.wait(20) == 0
            assert self._server.stderr
            self._server.stderr.close()
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
