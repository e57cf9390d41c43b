"""``check``: everything that is wrong with a definition, at once."""

from __future__ import annotations

import sys

from coffer import definition
from coffer.companion.findings import write
from coffer.companion.keys import read_id
from coffer.companion.reading import is_sealed, name, read
from coffer.companion.sealed import load
from coffer.companion.terminal import count, say
from coffer.errors import DefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from coffer.definition import Definition


def check(options: Namespace) -> int:
    """Print all findings; 0 when there is none, 3 otherwise."""
    try:
        checked = _parse(options)
    except DefinitionError as error:
        write(error.findings, sys.stdout)
        return error.exit_code
    clients = checked.clients.values()
    values = sum(len(client.shard) for client in clients)
    say(f"{name(options.file)}: good: {count(len(clients), 'client')}, {count(values, 'value')}")
    return 0


def _parse(options: Namespace) -> Definition:
    server = options.server and read_id(options.server, "--server")
    raw = read(options.file, options.definition_limit)
    if is_sealed(raw):
        return load(options).definition()
    return definition.parse(raw, source=name(options.file), limit_bytes=options.definition_limit, server=server)
