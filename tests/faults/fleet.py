"""A server, a companion and many clients: their keys, the definitions they share, and the files for all programs.

Sealed by the second implementation, so that every key and every value is at hand as bytes to look for.
"""

import base64
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

from running import Client, write_clients

from peer import envelope, response
from peer.boxes import public
from peer.identity import Address, format_id, save_key

Shard = dict[str, str | int]


class Fleet:
    """Everything in one folder. A flavour is a word from which all values of a definition follow."""

    def __init__(self, folder: Path, clients: int = 20) -> None:
        self.folder = folder
        self.server, self.companion = os.urandom(32), os.urandom(32)
        self.canary = os.urandom(18)  # stands in every value, so that one look finds any of them
        self.clients = {f"client-{number}": os.urandom(32) for number in range(clients)}
        self.serial = itertools.count(1)
        self.key, self.definition = folder / "server.key", folder / "definition.coffer"
        save_key(self.key, self.server)

    @property
    def server_id(self) -> str:
        return format_id(public(self.server))

    @property
    def companion_id(self) -> str:
        return format_id(public(self.companion))

    def where(self, port: int, host: str = "127.0.0.1") -> Address:
        return Address(public(self.server), host, port)

    def shard(self, name: str, flavour: str) -> Shard:
        digest = hashlib.blake2b(f"{flavour} {name}".encode(), digest_size=48, key=self.companion).hexdigest()
        mark = self.canary.hex()
        return {"flavour": flavour, "password": mark + digest[:48], "token": digest[48:] + mark, "port": 5432}

    def text(self, flavour: str) -> str:
        """Return the definition, TOML."""
        lines = ["[clients]", *(f'{name} = "{format_id(public(c))}"' for name, c in self.clients.items())]
        for name in self.clients:
            lines += [
                f"[{name}]",
                *(f"{key} = {json.dumps(value)}" for key, value in self.shard(name, flavour).items()),
            ]
        return "\n".join(lines) + "\n"

    def seal(self, text: str, serial: int | None = None, *, companion: bytes = b"", server: bytes = b"") -> bytes:
        """Return the sealed definition as it lies in a file; keys and serial are the fleet's unless given."""
        sealed = envelope.seal(
            text.encode(errors="surrogateescape"),
            companion or self.companion,
            public(server or self.server),
            next(self.serial) if serial is None else serial,
            os.urandom(24),
        )
        return armour(sealed)

    def publish(self, data: bytes) -> None:
        """Put this under the definition's name, in one step."""
        scratch = self.folder / "definition.coffer.new"
        scratch.write_bytes(data)
        scratch.rename(self.definition)

    def write_clients(self, *flavours: str, name: str = "clients") -> Path:
        """Write the file by which load asks as every client and takes the values of these flavours, no others."""
        return write_clients(self.folder / name, self._lines(flavours))

    def _lines(self, flavours: tuple[str, ...]) -> Iterator[Client]:
        for name, c in self.clients.items():
            yield Client(c, [response.encode(self.shard(name, flavour)) for flavour in flavours], public(c))

    def write_key(self, name: str) -> Path:
        """Write the key file of one client."""
        path = self.folder / f"{name}.key"
        if not path.exists():
            save_key(path, self.clients[name])
        return path


def armour(sealed: bytes) -> bytes:
    """The text form, also of many megabytes."""
    letters = base64.b64encode(sealed).decode()
    lines = (letters[at : at + 76] for at in range(0, len(letters), 76))
    return "\n".join([envelope.BEGIN, *lines, envelope.END, ""]).encode()
