"""A folder with all that one server and its clients need: keys, a sealed definition, the load generator's list."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from nacl.bindings import crypto_scalarmult_base

from coffer import codec, envelope, identity
from coffer._core import Keypair


class Place:
    """Keys and a definition of ``clients`` clients, each with ``values`` values of ``value_letters`` letters."""

    def __init__(self, folder: Path, clients: int, value_letters: int = 1000, values: int = 1) -> None:
        self.folder = folder
        self.server_key = folder / "server.key"
        self.definition = folder / "definition.coffer"
        self.clients = folder / "clients"
        self.client_key = folder / "client.key"
        server, companion = Keypair.generate(), Keypair.generate()
        identity.save_keypair(str(self.server_key), server)
        self.server = identity.format_id(server.public)
        self.companion = identity.format_id(companion.public)
        self.text = self._write_clients(clients, value_letters, values)
        sealed = envelope.seal(self.text.encode(), companion, server.public, 1)
        self.definition.write_bytes(envelope.format_armour(sealed))

    def _write_clients(self, clients: int, value_letters: int, values: int) -> str:
        names, tables = ["[clients]"], []
        with self.clients.open("w") as listing:
            for number in range(clients):
                secret = os.urandom(32)
                public = crypto_scalarmult_base(secret)
                shard = {
                    f"secret{each}": os.urandom(value_letters // 2 + 1).hex()[:value_letters] for each in range(values)
                }
                names.append(f'c{number} = "{identity.format_id(public)}"')
                tables.append(f"[c{number}]")
                tables.extend(f'{key} = "{value}"' for key, value in shard.items())
                listing.write(f"secret={secret.hex()} public={public.hex()} body={codec.encode(shard).hex()}\n")
        return "\n".join([*names, *tables, ""])

    def newcomers(self, lists: int, count: int) -> list[Path]:
        """Lists of ``count`` clients each, none of them among the first thousand or in two lists."""
        made = []
        with self.clients.open() as listing:
            next(islice(listing, 999, 1000))
            for number in range(lists):
                made.append(self.folder / f"newcomers-{number}")
                made[-1].write_text("".join(islice(listing, count)))
        return made

    def first_clients(self, count: int) -> Path:
        """A list of the first ``count`` clients only: those who fetch while the others are merely there."""
        few = self.folder / f"clients-{count}"
        with self.clients.open() as listing:
            few.write_text("".join(line for line, _ in zip(listing, range(count), strict=False)))
        return few
