"""One session's worth of keys, and a server, for the suites."""

from __future__ import annotations

import os

import pytest

from benchmarks.measure.place import Place
from benchmarks.measure.servers import coffer
from coffer._core import Keypair, Locker, Responder, Table, TableWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARD_BYTES = 1024


class Pair:
    """A server's and a client's side of sans-IO sessions: keys, and a table with the client's shard."""

    def __init__(self) -> None:
        self.server, self.client = Keypair.generate(), Keypair.generate()
        self.responder = Responder((self.server,))
        locker = Locker()
        writer = TableWriter(locker, 1)
        writer.add("client", [self.client.public], os.urandom(SHARD_BYTES))
        fd = os.memfd_create("coffer-table")
        writer.write(fd)
        self.table = Table(fd, locker)
        os.close(fd)


@pytest.fixture(scope="session")
def pair() -> Pair:
    return Pair()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("place"), 1)
    secret = next(word for word in place.clients.read_text().split() if word.startswith("secret="))
    write_key(place.client_key, bytes.fromhex(secret.removeprefix("secret=")))
    return place


@pytest.fixture(scope="session")
def address(place: Place) -> Iterator[str]:
    """The address of a real server, as ``--server`` takes it."""
    with coffer(place) as server:
        yield f"coffer://{place.server}@{server.address}"


def write_key(path: Path, secret: bytes) -> None:
    """A key file for a secret key that the load generator knows too."""
    from base64 import b64encode

    path.write_bytes(b"coffer-secret-key-1:" + b64encode(secret) + b"\n")
    path.chmod(0o600)
