"""A pytest plugin: a real coffer-server on a free port, and clients of it with the values that a test wants.

Not here: anything that imports before it is used, for pytest loads this wherever coffer is installed.

Fixtures: ``coffer_server``, one for the whole run, and ``coffer_client``, a new client for each test. While a test
has ``coffer_client``, COFFER_SERVER and COFFER_KEY are its own, so that ``coffer.fetch()`` in what is tested, and
``coffer-client`` in what that starts, find it. ``@pytest.mark.coffer(NAME=value, …)`` gives it values beforehand.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import NoReturn

    from coffer import Shard, Value
    from coffer._core import Keypair

WAIT_SECONDS = 20
LISTENING = re.compile(r"listening on (\S+)")


class Server:
    """A coffer-server process, its keys and its definition, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.address = ""
        self._server, self._companion = self.make_key("server"), self.make_key("companion")
        self._clients: list[Client] = []
        self._serial = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server with nobody known to it; return when it listens."""
        from coffer.identity import format_id

        self._seal()
        command = [sys.executable, "-m", "coffer", "server", "--key", "server.key", "--workers", "1"]
        command += ["--companion", format_id(self._companion.public), "--definition", "definition.coffer"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--listen", "127.0.0.1:0"], cwd=self.folder, stdout=log, stderr=log, env=_environment()
            )
        self.address = f"coffer://{format_id(self._server.public)}@{self._find_port()}"

    def stop(self) -> None:
        """End the server, and wait until it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def client(self, values: Mapping[str, Value] | None = None) -> Client:
        """Return a new client, with a key of its own, that gets these values."""
        client = Client(self, f"client-{len(self._clients)}")
        self._clients.append(client)
        client.give(values or {})
        return client

    def publish(self) -> None:
        """Seal what all clients are to get, and have the server load it."""
        assert self._process is not None
        self._seal()
        self._process.send_signal(signal.SIGHUP)

    def fail(self, what: str) -> NoReturn:
        """Raise RuntimeError with the server's log."""
        raise RuntimeError(f"coffer-server {what}:\n{self.log.read_text()}")

    def make_key(self, name: str) -> Keypair:
        """Make a key file in the folder; return what is in it."""
        from coffer._core import Keypair
        from coffer.identity import save_keypair

        keypair = Keypair.generate()
        save_keypair(str(self.folder / f"{name}.key"), keypair)
        return keypair

    def _seal(self) -> None:
        from coffer.envelope import format_armour, seal
        from coffer.files import save

        self._serial += 1
        written = [client.format() for client in self._clients]
        text = "".join(["[clients]\n", *(line for line, _ in written), *(table for _, table in written)])
        sealed = seal(text.encode(), self._companion, self._server.public, self._serial)
        save(str(self.folder / "definition.coffer"), format_armour(sealed))

    def _find_port(self) -> str:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := LISTENING.search(self.log.read_text())):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.fail("does not start")
            time.sleep(0.01)
        return found[1]


class Client:
    """A client of a Server. ``key`` is its key file, ``environment`` what a program needs to be this client."""

    def __init__(self, server: Server, name: str) -> None:
        from coffer.identity import format_id

        self.server = server
        self.name = name
        self.key = str(server.folder / f"{name}.key")
        self.id = format_id(server.make_key(name).public)
        self.values: dict[str, Value] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Return COFFER_SERVER and COFFER_KEY."""
        return {"COFFER_SERVER": self.server.address, "COFFER_KEY": self.key}

    def fetch(self) -> Shard:
        """Return the shard, as the server has it."""
        from coffer import fetch

        return fetch(self.server.address, self.key)

    def give(self, values: Mapping[str, Value]) -> None:
        """Let these be its values from now on; return when the server serves them."""
        self.values = dict(values)
        self.server.publish()
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._is_served():
            if time.monotonic() > deadline:
                self.server.fail("does not serve these values")
            time.sleep(0.01)

    def _is_served(self) -> bool:
        from coffer import RefusedError
        from coffer.codec import encode

        try:
            return encode(self.fetch()) == encode(self.values)  # == would not do: nan is not nan
        except RefusedError:
            return False

    def format(self) -> tuple[str, str]:
        """Return this client's line and table of the definition."""
        from coffer import Shard
        from coffer.client.formats import format_toml

        return f'{self.name} = "{self.id}"\n', f"[{self.name}]\n{format_toml(Shard(self.values))}"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "coffer(values, **values): what the client of the test, coffer_client, gets")


@pytest.fixture(scope="session")
def coffer_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real coffer-server on a free port, for the whole run."""
    server = Server(tmp_path_factory.mktemp("coffer"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def coffer_client(coffer_server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A new client of ``coffer_server``, with the values of ``@pytest.mark.coffer``, and in the environment."""
    values: dict[str, Value] = {}
    for marker in reversed(list(request.node.iter_markers("coffer"))):
        values.update(*marker.args, **marker.kwargs)
    client = coffer_server.client(values)
    for name, value in client.environment.items():
        monkeypatch.setenv(name, value)
    return client
