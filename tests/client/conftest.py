"""A server of the second implementation on a free port, honest or not, and a client that it knows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coffer import Client
from peer import response
from peer.boxes import public
from peer.identity import format_id, save_key
from peer.server import Manner, Server, honest

SERVER_SECRET, CLIENT_SECRET = os.urandom(32), os.urandom(32)
CLIENT_ID = format_id(public(CLIENT_SECRET))
VALUES: dict[str, response.Value] = {"PASSWORD": "hunter2", "PORT": 5432}

Serve = Callable[..., contextlib.AbstractContextManager[Server]]


def address_of(server: Server, host: str = "127.0.0.1") -> str:
    return f"coffer://{format_id(public(SERVER_SECRET))}@{host}:{server.port}"


@contextlib.contextmanager
def serving(manner: Manner = honest, seconds: float = 5.0, values: response.Shard | None = None) -> Iterator[Server]:
    data = response.encode(VALUES if values is None else values)
    with Server([SERVER_SECRET], {public(CLIENT_SECRET): data}, manner, seconds=seconds) as server:
        yield server


@pytest.fixture
def key(tmp_path: Path) -> str:
    """The key file of the client that the server knows."""
    save_key(tmp_path / "web.key", CLIENT_SECRET)
    return str(tmp_path / "web.key")


@pytest.fixture
def client_of(key: str) -> Callable[..., Client]:
    """Make a Client of that server: ``client_of(server, timeout=1)``."""

    def client_of(*servers: Server | str, **options: object) -> Client:
        addresses = [each if isinstance(each, str) else address_of(each) for each in servers]
        return Client(addresses, key, **options)  # type: ignore[arg-type]

    return client_of
