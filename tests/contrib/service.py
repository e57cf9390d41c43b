"""coffer-server started as its systemd unit starts it, by a stand-in for systemd: folders, credential, notifications.

Not here: the sandbox, which only systemd can build.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO

from unit import Unit

BIN = Path(sysconfig.get_path("scripts"))
PATIENCE_SECONDS = 30.0


class Service:
    """A folder with keys and a sealed definition, and the server in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unit = Unit("coffer-server.service")
        self.heard: list[str] = []
        self.keys: list[str] = []
        self.log: IO[str] | None = None
        self._told: SimpleQueue[str] = SimpleQueue()
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(folder / "notify"))
        self._listener = Thread(target=self._listen)
        self._listener.start()
        self._make_keys()
        self.environment = self._make_environment()
        self.seal()
        ids = f'companion = "{self.id("companion")}"\n'
        (folder / "server.toml").write_text(f'{ids}definition = "{self.sealed}"\nlisten = "127.0.0.1:0"\nworkers = 2\n')

    def _listen(self) -> None:
        """Take what the server tells systemd as it comes: a queue that is full would lose the rest."""
        while told := self._notified.recv(4096):
            self._told.put(told.decode())

    def _make_keys(self) -> None:
        (self.folder / "credentials").mkdir()
        os.environ.pop("COFFER_COMPANION_KEY", None)
        self._companion("init", str(self.folder / "made"))
        (self.folder / "made" / "server.key").rename(self.folder / "credentials" / "server.key")

    def _make_environment(self) -> dict[str, str]:
        made = dict(os.environ, CREDENTIALS_DIRECTORY=str(self.folder / "credentials"))
        for setting in ("RuntimeDirectory", "StateDirectory"):
            path = self.folder / setting
            path.mkdir(mode=int(self.unit.one(f"{setting}Mode"), 8))
            made[re.sub(r"(?<=[a-z])(?=D)", "_", setting).upper()] = str(path)
        made["NOTIFY_SOCKET"] = str(self.folder / "notify")
        made["WATCHDOG_USEC"] = "1000000"
        return made

    @property
    def sealed(self) -> Path:
        return self.folder / "definition.coffer"

    def id(self, name: str) -> str:
        folder = "credentials" if name == "server" else "made"
        return self._companion("id", str(self.folder / folder / f"{name}.key")).strip()

    def seal(self) -> None:
        """Seal the definition, with the next serial."""
        made = self.folder / "made"
        key, server = str(made / "companion.key"), self.id("server")
        self._companion("seal", str(made / "definition.toml"), "--key", key, "--server", server, "-o", str(self.sealed))

    def command(self, setting: str) -> list[str]:
        """Return a command of the unit, its settings file that of this folder."""
        words = self.unit.command(setting, BIN, self.environment)
        if self.keys and "--key" in words:
            words[words.index("--key") :] = [f"--key={path}" for path in self.keys]
        return [word.replace("/etc/coffer/", f"{self.folder}/") for word in words]

    def start(self, *before: str) -> None:
        """Start the server, after the words ``before``, and wait for READY=1."""
        self.log = (self.folder / "log").open("w+")
        self.process = subprocess.Popen([*before, *self.command("ExecStart")], env=self.environment, stderr=self.log)
        self.wait_for("READY=1")

    def wait_for(self, word: str) -> str:
        """Wait until the server has told systemd so; return all of that message."""
        while True:
            self.heard.append(self._told.get(timeout=PATIENCE_SECONDS))
            if word in self.heard[-1].splitlines():
                return self.heard[-1]

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """Wait until the log has such a line."""
        late = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, told := (self.folder / "log").read_text())):
            assert time.monotonic() < late, f"no line {pattern!r} in:\n{told}"
            time.sleep(0.02)
        return found

    def reload(self, *before: str) -> int:
        """Run the unit's ExecReload; return its exit code."""
        command = [*before, *self.command("ExecReload")]
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=PATIENCE_SECONDS).returncode

    def fetch(self, address: str = "") -> str:
        """Return the client's shard as coffer-client prints it: one attempt."""
        address = address or self.wait_for_line(r"listening on (\S+)")[1]
        flags = ["--server", f"coffer://{self.id('server')}@{address}", "--key", str(self.folder / "made" / "web.key")]
        command = [str(BIN / "coffer-client"), "get", *flags, "--retries", "0", "--timeout", "5"]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout

    def stop(self) -> int:
        """TERM the server; return its exit code."""
        os.kill(self.master, signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.end_log()

    @property
    def master(self) -> int:
        """The server's own process id, whatever it was started through."""
        named = Path(f"/proc/{self.process.pid}/cmdline").read_bytes().split(b"\0")
        interpreter = Path(os.fsdecode(named[0])).name
        return self.process.pid if interpreter.startswith("python") else children(self.process.pid)[0]

    def end(self) -> None:
        """Leave nothing behind, however the test went."""
        self._notified.shutdown(socket.SHUT_RDWR)
        self._listener.join(PATIENCE_SECONDS)
        self._notified.close()
        if hasattr(self, "process") and self.process.poll() is None:
            os.kill(self.master, signal.SIGKILL)
            self.process.wait(PATIENCE_SECONDS)
        self.end_log()

    def end_log(self) -> None:
        """Let go of the log; its text stays."""
        if self.log is not None:
            self.log.close()
            self.log = None

    def _companion(self, *words: str) -> str:
        return subprocess.run([BIN / "coffer-companion", *words], capture_output=True, check=True, text=True).stdout


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
