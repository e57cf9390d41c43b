"""The three programs as real processes: the scripts that users run, in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from house import House
from peer_house import PeerHouse

SCRIPTS = Path(sysconfig.get_path("scripts"))


class Outcome(NamedTuple):
    """What a process ended with: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


def environment_in(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
    return kept | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without coffer's variables, in which the programs are found."""
    return environment_in(tmp_path)


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run a program to its end: ``run("coffer-companion", "id", "web.key", stdin="...", env={...})``."""

    def run(*command: str, stdin: str = "", env: dict[str, str] | None = None) -> Outcome:
        done = subprocess.run(
            command,
            input=stdin.encode(),
            capture_output=True,
            cwd=tmp_path,
            env=environment | (env or {}),
            timeout=60,
            start_new_session=True,  # no terminal to ask on, wherever the tests run
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


TABLES = """
[web]
PASSWORD = "tulip \\n"
PORT = 5432
DEBUG = false
RATIO = 0.5
SINCE = 2026-01-02T03:04:05Z
[worker]
TOKEN = "bluebell"
"""


def start_house(folder: Path, environment: dict[str, str]) -> House:
    house = House(folder, environment)
    house.seal(TABLES)
    house.start()
    return house


@pytest.fixture(scope="module")
def peer_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerHouse]:
    """A server that never tires of strangers, so that it refuses each for what that one did."""
    folder = tmp_path_factory.mktemp("peer")
    house = PeerHouse(folder, environment_in(folder))
    house.seal(TABLES)
    house.start("--failing-hellos-per-source", "0")
    yield house
    house.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that is up, with ``TABLES`` for ``web`` and ``worker``; tests that share it leave it as it is."""
    folder = tmp_path_factory.mktemp("house")
    house = start_house(folder, environment_in(folder))
    yield house
    house.stop()


@pytest.fixture
def own_house(tmp_path: Path, environment: dict[str, str]) -> Iterator[House]:
    """The same in the folder of one test, which may change and stop it."""
    house = start_house(tmp_path, environment)
    yield house
    house.stop()


@pytest.fixture
def companion(run: Run) -> Run:
    """Run coffer-companion: ``companion("id", "web.key")`` is exit code, stdout and stderr."""

    def companion(*arguments: str, **options) -> Outcome:
        return run("coffer-companion", *arguments, **options)

    return companion


@pytest.fixture
def started(companion: Run) -> dict[str, str]:
    """A folder after ``init .``; the ids of the three parties."""
    assert companion("init", ".").code == 0
    return {name: companion("id", f"{name}.key").out.strip() for name in ("companion", "server", "web")}


@pytest.fixture
def sealed(companion: Run, started: dict[str, str], tmp_path: Path) -> Callable[[str], None]:
    """Seal tables after ``[clients]``, with ``web`` in it: ``sealed("[web]\\nA = 1\\n")`` makes definition.coffer."""

    def sealed(tables: str, clients: str = "") -> None:
        text = f'[clients]\nweb = "{started["web"]}"\n{clients}\n{tables}'
        arguments = ("seal", "-", "--server", started["server"], "-o", "definition.coffer")
        outcome = companion(*arguments, stdin=text)
        assert outcome.code == 0, outcome.err

    return sealed
