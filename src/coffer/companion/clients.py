"""``client add``, ``client list`` and ``client remove``."""

from __future__ import annotations

import json
import os
import shlex
import sys

from coffer._core import Keypair
from coffer.companion.blast_radius import sharers
from coffer.companion.keys import read_id
from coffer.companion.reading import is_text
from coffer.companion.sealed import load, load_any
from coffer.companion.terminal import say
from coffer.errors import OperatorError, SettingsError
from coffer.identity import format_id, save_keypair
from coffer.message import SHARD_LIMIT_BYTES
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from coffer.companion.sealed import Sealed
    from coffer.definition import Client

SCHEMA = 1


def add(options: Namespace) -> int:
    """Add a client; without an id, make its key beside the sealed file."""
    sealed = load(options)
    document = sealed.document()
    if not is_text(options.name):
        raise SettingsError("the client's name is not UTF-8", "a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -")
    if options.name in document.clients():
        raise SettingsError(f"{options.name}: a client already", "for another key: coffer-companion rotate client")
    keypair = None if options.id else Keypair.generate()
    public = keypair.public if keypair else read_id(options.id, "--id")
    document.add_client(options.name, [format_id(public)])
    text = document.format()
    sealed.sealer.check(text, options.file)
    if keypair:
        _replace_with_key(sealed, text, os.path.join(os.path.dirname(options.file), f"{options.name}.key"), keypair)
    else:
        sealed.replace(text)
    say(f"next: coffer-companion set {shlex.quote(options.file)} {options.name}.KEY")
    return 0


def list_clients(options: Namespace) -> int:
    """Print every client: name, values, size against the limit, ids."""
    clients = load_any(options, options.file)[0].clients.values()
    if options.format == "json":
        json.dump({"schema": SCHEMA, "clients": [_entry(client) for client in clients]}, sys.stdout, indent=2)
        print()
        return 0
    for client in clients:
        size = len(client.encoded)
        used = f"{size:,} of {SHARD_LIMIT_BYTES:,} bytes ({100 * size // SHARD_LIMIT_BYTES} %)"
        print(f"{client.name}: {counted(client.value_count, 'value')}, {used}")
        for public in client.ids:
            print(f"  {format_id(public)}")
    return 0


def remove(options: Namespace) -> int:
    """Take a client out, with its values."""
    sealed = load(options)
    clients = sealed.definition().clients
    document = sealed.document()
    document.remove_client(options.name)
    shared = sorted({other for others in sharers(clients, options.name).values() for other in others})
    sealed.replace(document.format())
    say(f"removed {options.name}; it still knows what it has read")
    if shared:
        say(f"others go on with the same values: {', '.join(shared)}")
    return 0


def _replace_with_key(sealed: Sealed, text: str, path: str, keypair: Keypair) -> None:
    """Write the key first, for a client without one would be lost; no key is left of a client that was not added."""
    save_keypair(path, keypair)
    try:
        sealed.replace(text)
    except OperatorError:
        os.unlink(path)
        raise
    say(f"made {path}, for trying out; in production keygen runs where the key is kept, and --id brings its id here")


def _entry(client: Client) -> dict[str, object]:
    return {
        "name": client.name,
        "ids": [format_id(public) for public in client.ids],
        "values": client.value_count,
        "bytes": len(client.encoded),
        "limit_bytes": SHARD_LIMIT_BYTES,
    }
