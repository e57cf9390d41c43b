"""``import``: the values of a client from a file of another program.

Not here: reading those files (``foreign``).
"""

from __future__ import annotations

import os

from coffer.companion.foreign import READERS
from coffer.companion.reading import STDIN, name, read
from coffer.companion.sealed import load
from coffer.companion.terminal import say
from coffer.errors import DefinitionError, Finding, OperatorError, SettingsError
from coffer.program import counted
from coffer.toml import is_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from coffer.shard import Value

LIMIT_BYTES = 1 << 20
FORMATS_BY_ENDING = {".env": "dotenv", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}


def import_values(options: Namespace) -> int:
    """Give a client the values in a file, and seal: all of them, or none."""
    sealed = load(options)
    document = sealed.document()
    old = document.values(options.client)
    new = _read(options)
    changes = [key for key, value in new.items() if not is_same(old.get(key), value)]
    replaced = [key for key in changes if key in old]
    if replaced and not options.overwrite:
        raise _conflicts(options, replaced)
    for key in changes:
        document.set(options.client, key, new[key])
    if changes:
        sealed.replace(document.format())
    added = len(changes) - len(replaced)
    counts = f"{added} new, {len(replaced)} changed, {len(new) - len(changes)} the same"
    say(f"{options.client}: {counted(len(new), 'value')} from {name(options.source)}: {counts}")
    if options.source != STDIN:
        say(f"{options.source} still holds them in clear")
    return 0


def _read(options: Namespace) -> dict[str, Value]:
    source = name(options.source)
    kind = options.format or FORMATS_BY_ENDING.get(_ending(options.source))
    if kind is None:
        raise SettingsError(f"{source}: of which format?", "--from dotenv, json, yaml or toml")
    try:
        text = read(options.source, LIMIT_BYTES).decode()
    except UnicodeDecodeError:
        raise OperatorError(f"{source}: not UTF-8") from None
    return READERS[kind](text, source)


def _ending(path: str) -> str:
    base = os.path.basename(path)
    return ".env" if base == ".env" or base.startswith(".env.") else os.path.splitext(base)[1]


def _conflicts(options: Namespace, keys: list[str]) -> DefinitionError:
    reason, hint = "has another value already", "--overwrite takes the new one"
    return DefinitionError.of([Finding(options.file, reason, table=options.client, key=key, hint=hint) for key in keys])
