"""A plain TOML definition to the coffer response of each client, as far as a server needs it.

The operator's rules that never reach a wire (names, one id twice, limits) are not here.
"""

import tomllib
from datetime import date, time

from . import response
from .fault import Fault
from .identity import parse_id


def responses(text: str) -> dict[bytes, bytes]:
    """Return {client public key: response}. A client without a table gets the empty array."""
    tables = tomllib.loads(text)
    clients = tables.pop("clients", None)
    if not isinstance(clients, dict):
        raise Fault("no [clients]")
    found: dict[bytes, bytes] = {}
    for name, ids in clients.items():
        data = response.encode(_checked(name, tables.get(name, {})))
        found |= {parse_id(one): data for one in ([ids] if isinstance(ids, str) else ids)}
    return found


def _checked(name: str, table: object) -> response.Shard:
    if not isinstance(table, dict):
        raise Fault(f"{name}: a key before the first table")
    for key, value in table.items():
        if not isinstance(value, str | int | float | date | time):
            raise Fault(f"[{name}] {key}: not a value")
    return table
