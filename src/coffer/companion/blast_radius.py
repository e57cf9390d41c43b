"""``blast-radius``: what a stolen key of one client exposes, who shares it, and what to do about it."""

from __future__ import annotations

import shlex

from coffer.companion.reading import STDIN
from coffer.companion.sealed import load_any
from coffer.ending import escape
from coffer.identity import format_id
from coffer.names import missing_client
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Mapping

    from coffer.definition import Client
    from coffer.shard import Value

_SHUT_OUT = """\
1. Shut the key out: make another where {client} runs (coffer-companion keygen -o FILE), and with its id:
     {rotate}
{which}   Then bring {file} to the server; there: coffer-server reload
"""
_CHANGE = """\
2. Change these where they are used, and here:
{commands}
   Then bring {file} to the server again, and reload.
"""
_SHUT_OUT_IN_CLEAR = """\
1. Shut the key out: make another where {client} runs (coffer-companion keygen -o FILE), and in {file} write
   its id in place of the stolen one, under [clients]. Then seal it, and bring what is sealed to the server:
     {seal}
   There: coffer-server reload
"""
_CHANGE_IN_CLEAR = """\
2. Change these where they are used, and in {file}:
{names}
   Then seal it and bring it to the server again, and reload.
"""
_RESTART = "3. Restart, so that they fetch anew: {clients}\n"


def blast_radius(options: Namespace) -> int:
    """Print what a stolen key exposes, and the to-do after it."""
    definition, sealed = load_any(options, options.file)
    clients = definition.clients
    if options.name not in clients:
        raise missing_client(options.name, clients)
    client = clients[options.name]
    shared = sharers(clients, client.name)
    print(f"A stolen key of {client.name} opens {counted(client.value_count, 'value')}:")
    for key in client.shard:
        others = f"  shared with {', '.join(shared[key])}" if shared.get(key) else ""
        print(escape(f"  {client.name}.{key}{others}"))
    steps = _steps(options.file, client, shared) if sealed else _steps_in_clear(options.file, client, shared)
    print(f"\n{steps}", end="")
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


def _steps(path: str, client: Client, shared: dict[str, list[str]]) -> str:
    """Return what to do where the definition is sealed: commands, ready to paste."""
    file = "FILE" if path == STDIN else path
    rotate = escape(_rotate(file, client))
    steps = _SHUT_OUT.format(client=client.name, file=escape(file), rotate=rotate, which=_which(client))
    commands = [_set(file, client.name, key, value, shared) for key, value in client.shard.items()]
    if commands:
        steps += _CHANGE.format(file=escape(file), commands=_indented(commands)) + _restart(client, shared)
    return steps


def _steps_in_clear(path: str, client: Client, shared: dict[str, list[str]]) -> str:
    """Return what to do with a definition in clear, which is changed by hand and goes nowhere unsealed."""
    file = "the definition" if path == STDIN else escape(path)
    seal = shlex.join(["coffer-companion", "seal", "DEFINITION" if path == STDIN else path, "-o", "SEALED-FILE"])
    steps = _SHUT_OUT_IN_CLEAR.format(client=client.name, file=file, seal=escape(seal))
    names = [" ".join([f"{client.name}.{key}", *shared.get(key, [])]) for key in client.shard]
    if names:
        steps += _CHANGE_IN_CLEAR.format(file=file, names=_indented(names)) + _restart(client, shared)
    return steps


def _rotate(file: str, client: Client) -> str:
    old = ["--old", "STOLEN-ID"] if len(client.ids) > 1 else []
    return shlex.join(["coffer-companion", "rotate", "client", file, client.name, "--id", "ID", "--finish", *old])


def _which(client: Client) -> str:
    """Return the ids one of which is stolen, where there are several."""
    if len(client.ids) == 1:
        return ""
    return "   STOLEN-ID is the id of the stolen key, one of:\n" + _indented(map(format_id, client.ids)) + "\n"


def _set(file: str, client: str, key: str, value: Value, shared: dict[str, list[str]]) -> str:
    kind = [] if isinstance(value, str) else ["--toml"]
    return shlex.join(["coffer-companion", "set", file, f"{client}.{key}", *shared.get(key, []), *kind])


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"     {escape(line)}" for line in lines)


def _restart(client: Client, shared: dict[str, list[str]]) -> str:
    affected = sorted({other.partition(".")[0] for others in shared.values() for other in others})
    return _RESTART.format(clients=", ".join([client.name, *affected]))
