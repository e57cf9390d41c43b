"""Names as people type them: ``CLIENT.KEY``, and what they may have meant by one that is not there."""

from __future__ import annotations

from difflib import get_close_matches

from coffer.errors import MissingNameError, SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

SHOWN_LIMIT = 8


def split(name: str) -> tuple[str, str]:
    """Return client and key of ``CLIENT.KEY``; the key may hold further dots. Raises SettingsError."""
    client, _, key = name.partition(".")
    if not client or not key:
        raise SettingsError(f"{name}: not of the form CLIENT.KEY", "web.PASSWORD is the value PASSWORD of client web")
    return client, key


def missing_client(name: str, clients: Collection[str]) -> MissingNameError:
    """Return the error for a client that is not among ``clients``."""
    return MissingNameError(f"no client named {name}", near(name, clients, "clients"))


def missing_value(client: str, key: str, keys: Collection[str]) -> MissingNameError:
    """Return the error for a value that is not among those of a client, which ``keys`` names."""
    return MissingNameError(f"{client} has no value named {key}", near(key, keys, "values"))


def near(name: str, names: Collection[str], what: str) -> str:
    """Return a hint: the names closest to ``name``, or all of them if they are few. ``what`` is a plural."""
    close = get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if len(names) <= SHOWN_LIMIT:
        return f"{what}: {', '.join(names) or 'none'}"
    return f"it has {len(names):,} {what}, and none is named like that"
