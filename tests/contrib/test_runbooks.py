"""The rotations and runbooks of docs/operating.md, walked through with the real programs: nobody is interrupted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from service import BIN, Service

UNKNOWN, SILENT, REFUSED = 77, 69, 3


class Walk:
    """A running server, and what an operator types."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(folder)
        self.made = folder / "made"
        self.keys = folder / "credentials"
        self.service.start()

    def companion(self, *words: str | Path, stdin: bytes = b"") -> bytes:
        done = subprocess.run([BIN / "coffer-companion", *words], input=stdin, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keygen(self, path: Path) -> str:
        return self.companion("keygen", "-o", path).decode().strip()

    def write(self, web: str, greeting: str = "hello from coffer") -> Path:
        """Write the definition; ``web`` is the client's id or ids, as TOML."""
        path = self.made / "definition.toml"
        path.write_text(f'[clients]\nweb = {web}\n[web]\nGREETING = "{greeting}"\n')
        return path

    def seal(self, *flags: str | Path, companion: str = "companion.key") -> None:
        where = ("--key", self.made / companion, "-o", self.service.sealed)
        self.companion("seal", self.made / "definition.toml", *where, *flags)

    def restart(self, *keys: Path, companions: str = "") -> None:
        """Start anew with these keys and, as TOML, companions, on the same port."""
        address = self.address
        assert self.service.stop() == 0
        settings = self.service.folder / "server.toml"
        lines = [line for line in settings.read_text().splitlines() if not line.startswith("listen")]
        lines = [f"companion = {companions}" if line.startswith("companion") and companions else line for line in lines]
        settings.write_text("\n".join([*lines, f'listen = "{address}"']))
        self.service.keys = [*map(str, keys)]
        self.service.start()

    @property
    def address(self) -> str:
        return self.service.wait_for_line(r"listening on (\S+)")[1]

    def fetch(self, server: str, key: str = "web.key") -> int:
        """Return the exit code of a client with that key and server id, in one attempt."""
        command: list[str | Path] = [BIN / "coffer-client", "get", "GREETING", "--retries", "0"]
        command += ["--key", self.made / key, "--server", f"coffer://{server}@{self.address}"]
        return subprocess.run(command, capture_output=True, timeout=30).returncode


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    walk = Walk(tmp_path)
    yield walk
    walk.service.end()


def test_a_client_key_is_rotated_and_then_the_old_one_is_worth_nothing(walk: Walk) -> None:
    server, old = walk.service.id("server"), walk.service.id("web")
    new = walk.keygen(walk.made / "new.key")
    assert (walk.fetch(server), walk.fetch(server, "new.key")) == (0, UNKNOWN)
    walk.write(f'["{old}", "{new}"]')
    walk.seal()
    assert walk.service.reload() == 0
    assert (walk.fetch(server), walk.fetch(server, "new.key")) == (0, 0)
    walk.write(f'"{new}"')
    walk.seal()
    assert walk.service.reload() == 0
    assert (walk.fetch(server), walk.fetch(server, "new.key")) == (UNKNOWN, 0)


def test_the_companion_key_is_rotated_and_then_the_old_one_seals_for_nobody(walk: Walk) -> None:
    old, new = walk.service.id("companion"), walk.keygen(walk.made / "new.key")
    walk.restart(companions=f'["{old}", "{new}"]')
    walk.seal("--server", walk.service.id("server"), "--new", companion="new.key")
    assert walk.service.reload() == 0
    walk.restart(companions=f'"{new}"')
    assert walk.fetch(walk.service.id("server")) == 0
    walk.seal("--new")
    assert walk.service.reload() == REFUSED
    assert walk.fetch(walk.service.id("server")) == 0


def test_the_server_key_is_rotated_while_clients_know_either_id(walk: Walk) -> None:
    old, path = walk.service.id("server"), walk.keys / "new.key"
    new = walk.keygen(path)
    walk.restart(walk.keys / "server.key", path)
    assert (walk.fetch(old), walk.fetch(new)) == (0, 0)
    walk.seal("--server", new)
    assert walk.service.reload() == 0
    assert (walk.fetch(old), walk.fetch(new)) == (0, 0)
    walk.restart(path)
    assert (walk.fetch(old), walk.fetch(new)) == (SILENT, 0)


def test_without_the_companion_key_the_server_key_opens_the_definition(walk: Walk) -> None:
    before = (walk.made / "definition.toml").read_bytes()
    lost = walk.service.id("companion")
    (walk.made / "companion.key").unlink()
    key = walk.keys / "server.key"
    assert walk.companion("open", walk.service.sealed, "--key", key, "--companion", lost) == before


def test_an_older_definition_is_served_only_when_it_is_sealed_anew(walk: Walk) -> None:
    old = walk.service.sealed.read_bytes()
    walk.seal()
    newest = walk.service.sealed.read_bytes()
    assert walk.service.reload() == 0
    walk.service.sealed.write_bytes(old)
    assert walk.service.reload() == REFUSED
    text = walk.companion("open", "-", "--key", walk.made / "companion.key", stdin=old)
    walk.service.sealed.write_bytes(newest)
    walk.companion("seal", "-", "--key", walk.made / "companion.key", "-o", walk.service.sealed, stdin=text)
    assert walk.service.reload() == 0


def test_a_restart_does_not_forget_which_definition_was_the_newest(walk: Walk) -> None:
    old = walk.service.sealed.read_bytes()
    walk.seal()
    assert walk.service.reload() == 0
    walk.service.sealed.write_bytes(old)
    assert walk.service.stop() == 0
    command = walk.service.command("ExecStart")
    again = subprocess.run(command, env=walk.service.environment, capture_output=True, timeout=30)
    assert again.returncode == REFUSED
    assert b"serial 1 is older than 2, which was served last" in again.stderr


def test_of_two_operators_who_edited_at_once_the_second_is_told(walk: Walk) -> None:
    first = walk.service.sealed.read_bytes()
    walk.write(f'"{walk.service.id("web")}"', "one")
    walk.seal()
    assert walk.service.reload() == 0
    walk.service.sealed.write_bytes(first)
    walk.write(f'"{walk.service.id("web")}"', "other")
    walk.seal()
    assert walk.service.reload() == REFUSED
    walk.service.wait_for_line("serial 2 was served before with other contents")
