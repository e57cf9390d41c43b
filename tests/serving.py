"""A server's insides without its sockets: keypair, locker, table and responder, and whole sessions with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from coffer._core import Keypair, Locker, Responder, ServerChannel, Table, TableWriter
from coffer.protocol import ClientSession, ServerSession

Shards = dict[str, tuple[Iterable[bytes], bytes]]


def make_table(locker: Locker, shards: Shards, serial: int = 1) -> Table:
    """Return the table of ``shards``: name -> (ids, response)."""
    fd = write_table(locker, shards, serial)
    try:
        return Table(fd, locker)
    finally:
        os.close(fd)


def write_table(locker: Locker, shards: Shards, serial: int = 1) -> int:
    writer = TableWriter(locker, serial)
    for name, (ids, response) in shards.items():
        writer.add(name, ids, response)
    fd = os.memfd_create("table")
    writer.write(fd)
    return fd


class Serving:
    """One server process's share of the core, and the two ends of sessions with it."""

    def __init__(self, *keypairs: Keypair, epoch: Keypair | None = None, shards: Shards | None = None) -> None:
        self.keypairs = keypairs or (Keypair.generate(),)
        self.responder = Responder(self.keypairs, epoch=epoch)
        self.locker = Locker()
        self.table = make_table(self.locker, shards or {})
        self.asked: list[bytes] = []

    @property
    def public(self) -> bytes:
        return self.keypairs[0].public

    def find(self, client: bytes) -> Any:
        self.asked.append(client)
        return self.table.find(client)

    def server(
        self, refusal: bytes | None = None, wrap: Callable[[Responder], Any] = lambda each: each
    ) -> ServerSession:
        session = ServerSession(wrap(self.responder), self.find)
        session.refusal = refusal
        return session

    def client(self, keypair: Keypair, **options: Any) -> ClientSession:
        return ClientSession(keypair, self.public, **options)


def talk(client: ClientSession, server: ServerSession) -> list[bytes]:
    """Carry the bytes to and fro until both are silent; return every piece, the client's first."""
    said = [client.hello]
    ends = (server, client)
    while said[-1]:
        said.append(ends[(len(said) - 1) % 2].receive(said[-1]))
    return said[:-1]


class FixedSalt:
    """A Responder with an R of the test's."""

    def __init__(self, responder: Responder, salt: bytes) -> None:
        self._responder = responder
        self._salt = salt

    def open_hello(self, body: bytes) -> FixedSaltChannel:
        return FixedSaltChannel(self._responder.open_hello(body), self._salt)


class FixedSaltChannel:
    def __init__(self, channel: ServerChannel, salt: bytes) -> None:
        self._answer = channel.answer
        self._salt = salt
        self.client = channel.client
        self.open, self.seal, self.seal_shard = channel.open, channel.seal, channel.seal_shard

    def answer(self, kind: int, body: bytes = b"") -> bytes:
        return self._answer(kind, body, salt=self._salt)
