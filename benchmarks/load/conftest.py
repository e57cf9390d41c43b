"""The programs, built once a run, and a place on the path for the second implementation in tests/peer."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from peer.boxes import public

from .running import Client, Limit, build, write_clients, write_private

SIZES = [1, 2, 255, 256, 1024, 65_279]


@pytest.fixture(scope="session")
def programs() -> Path:
    return build()


@pytest.fixture(scope="session")
def s() -> bytes:
    return os.urandom(32)


@pytest.fixture(scope="session")
def server_id(s: bytes) -> str:
    return public(s).hex()


@pytest.fixture(scope="session")
def clients() -> list[Client]:
    """Clients with a response of each interesting size, one of them without its public key given."""
    made = [Client(c := os.urandom(32), [os.urandom(size)], public(c)) for size in SIZES]
    return [*made, Client(os.urandom(32), [b"\x80"])]


@pytest.fixture
def clients_file(tmp_path: Path, clients: list[Client]) -> Path:
    return write_clients(tmp_path / "clients", clients)


@pytest.fixture
def key_file(tmp_path: Path, s: bytes) -> Path:
    return write_private(tmp_path / "server.key", s.hex() + "\n")


@pytest.fixture
def limit(programs: Path, key_file: Path, clients_file: Path) -> Iterator[Limit]:
    with Limit(programs, key_file, clients_file) as running:
        yield running
