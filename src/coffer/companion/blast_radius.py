"""``blast-radius``: what a stolen key of one client exposes, who shares it, and what to do about it."""

from __future__ import annotations

from coffer.companion.reading import name
from coffer.companion.sealed import load_any
from coffer.names import missing_client
from coffer.program import count, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from coffer.definition import Client

_SHUT_OUT = """\
1. Shut the key out: make another where {client} runs (coffer-companion keygen -o FILE), and with its id:
     coffer-companion rotate client {file} {client} --id ID --finish
   Then bring {file} to the server; there: coffer-server reload
"""
_CHANGE = """\
2. Change these where they are used, and here:
{commands}
   Then bring {file} to the server again, and reload.
"""
_RESTART = "3. Restart, so that they fetch anew: {clients}\n"


def blast_radius(options: Namespace) -> int:
    """Print what a stolen key exposes, and the to-do after it."""
    clients = load_any(options, options.file)[0].clients
    if options.name not in clients:
        raise missing_client(options.name, clients)
    shared = sharers(clients, options.name)
    print(f"A stolen key of {options.name} opens {count(len(clients[options.name].shard), 'value')}:")
    for key in clients[options.name].shard:
        others = f"  shared with {', '.join(shared[key])}" if shared.get(key) else ""
        print(escape(f"  {options.name}.{key}{others}"))
    print(f"\n{_to_do(name(options.file), options.name, shared)}", end="")
    return 0


def sharers(clients: Mapping[str, Client], client: str) -> dict[str, list[str]]:
    """Return each text of a client, by its key, with the names under which others have the same."""
    owners: dict[str, list[str]] = {}
    for other in clients.values():
        for key, value in other.shard.items():
            if other.name != client and isinstance(value, str) and value:
                owners.setdefault(value, []).append(f"{other.name}.{key}")
    shard = clients[client].shard
    return {key: owners.get(value, []) for key, value in shard.items() if isinstance(value, str)}


def _to_do(file: str, client: str, shared: dict[str, list[str]]) -> str:
    commands = "\n".join(
        escape(f"     coffer-companion set {file} " + " ".join([f"{client}.{key}", *others]))
        for key, others in shared.items()
    )
    affected = sorted({other.partition(".")[0] for others in shared.values() for other in others})
    steps = _SHUT_OUT.format(client=client, file=file)
    if commands:
        steps += _CHANGE.format(file=file, commands=commands)
        steps += _RESTART.format(clients=", ".join([client, *affected]))
    return steps
