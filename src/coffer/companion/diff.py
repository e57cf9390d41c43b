"""``diff``: what changed from one definition to the next, readable without showing a value."""

from __future__ import annotations

from coffer.companion.digests import Digests
from coffer.companion.sealed import load_any
from coffer.ending import escape
from coffer.identity import format_id
from coffer.toml import format_key, format_literal, is_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from coffer.companion.sealed import Sealed
    from coffer.definition import Client
    from coffer.shard import Value

    Show: TypeAlias = Callable[[Value], str]


def diff(options: Namespace) -> int:
    """Print what is added (+), removed (-) and changed (~) from OLD to NEW; nothing if nothing is."""
    (old, old_sealed), (new, new_sealed) = (load_any(options, path) for path in (options.old, options.new))
    sealed = old_sealed or new_sealed
    show = format_literal if options.values else Digests(sealed.sealer.keypair if sealed else None).of
    lines = [*_servers(old_sealed, new_sealed), *_clients(old.clients, new.clients, show)]
    for line in lines:
        print(escape(line))
    return 0


def _servers(old: Sealed | None, new: Sealed | None) -> Iterator[str]:
    if old and new and old.envelope.server != new.envelope.server:
        yield f"~ server {format_id(old.envelope.server)} -> {format_id(new.envelope.server)}"


def _clients(old: Mapping[str, Client], new: Mapping[str, Client], show: Show) -> Iterator[str]:
    for name in {**old, **new}:
        ids = [set(each[name].ids) if name in each else set() for each in (old, new)]
        if name not in old or name not in new:
            yield f"{'+' if name in new else '-'} client {name}"
        yield from (f"- {name} id {format_id(public)}" for public in sorted(ids[0] - ids[1]))
        yield from (f"+ {name} id {format_id(public)}" for public in sorted(ids[1] - ids[0]))
        yield from _values(name, _shard(old, name), _shard(new, name), show)


def _shard(clients: Mapping[str, Client], name: str) -> Mapping[str, Value]:
    return clients[name].shard if name in clients else {}


def _values(client: str, old: Mapping[str, Value], new: Mapping[str, Value], show: Show) -> Iterator[str]:
    for key in {**old, **new}:
        name = f"{client}.{format_key(key)}"
        if key not in old:
            yield f"+ {name} {show(new[key])}"
        elif key not in new:
            yield f"- {name} {show(old[key])}"
        elif not is_same(old[key], new[key]):
            yield f"~ {name} {show(old[key])} -> {show(new[key])}"
