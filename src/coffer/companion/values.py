"""``set``, ``unset`` and ``get``: single values of a sealed definition.

Rule: a value comes from a hidden prompt, stdin, a file or chance, never from the command line, where every user
of the machine could read it.
"""

from __future__ import annotations

import re
import secrets
import string
import sys

import tomli

from coffer.companion.findings import write_text
from coffer.companion.reading import STDIN, is_text, name, read
from coffer.companion.sealed import load, load_any
from coffer.companion.terminal import say
from coffer.errors import OperatorError, SettingsError
from coffer.lint import Advice, lint
from coffer.message import SHARD_LIMIT_BYTES
from coffer.names import missing_client, missing_value, split
from coffer.program import counted
from coffer.prompt import ask_hidden
from coffer.shard import format_value, kind_of
from coffer.toml import is_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from coffer.companion.document import Document
    from coffer.definition import Definition
    from coffer.shard import Value

ALPHABET = string.ascii_letters + string.digits
SAME = "the same as before"

_NAME_HINT = "web.PASSWORD names a value; the value itself never comes from the command line: see set --help"
_is_client = re.compile(r"[A-Za-z0-9_-]+").fullmatch


def set_values(options: Namespace) -> int:
    """Give one value to every name that is given, and seal."""
    sealed = load(options)
    document = sealed.document()
    names = [_name(each, number) for number, each in enumerate(options.name, 1)]
    for client, _ in names:
        document.check_client(client)
    value = _value(options)
    changes = [_set(document, client, key, value) for client, key in names]
    text = document.format()
    sealed.sealer.check(text, options.file)
    changed = any(change != SAME for change in changes)
    checked = sealed.replace(text) if changed else None
    for (client, key), change in zip(names, changes, strict=True):
        say(f"{client}.{key}: {change}")
    if checked:
        write_text(_advice(checked, text, options.file, names), sys.stderr)
    else:
        say(f"{options.file}: unchanged")
    return 0


def unset_values(options: Namespace) -> int:
    """Take values away, all or none, and seal."""
    sealed = load(options)
    document = sealed.document()
    for each in options.name:
        document.unset(*split(each))
    sealed.replace(document.format())
    return 0


def get_value(options: Namespace) -> int:
    """Print one value as it is; on a terminal, with a line end."""
    client, key = split(options.name)
    clients = load_any(options, options.file)[0].clients
    if client not in clients:
        raise missing_client(client, clients)
    shard = clients[client].shard
    if key not in shard:
        raise missing_value(client, key, shard)
    sys.stdout.buffer.write((format_value(shard[key]) + ("\n" if sys.stdout.isatty() else "")).encode())
    return 0


def _name(text: str, number: int) -> tuple[str, str]:
    """Return client and key of what is to be set. Whatever else stands there may be the value, and is not shown."""
    client, _, key = text.partition(".")
    for fault, found in (
        ("not of the form CLIENT.KEY", not key or not _is_client(client)),
        ("= in a name", "=" in key),
        ("not UTF-8", not is_text(key)),
    ):
        if found:
            raise SettingsError(f"name {number} of those to set: {fault}", _NAME_HINT)
    return client, key


def _set(document: Document, client: str, key: str, value: Value) -> str:
    """Set a value; return in words what that changes."""
    old = document.values(client).get(key)
    if is_same(old, value):
        return SAME
    document.set(client, key, value)
    if old is None:
        return "new"
    if kind_of(old) != kind_of(value):
        return f"changed, and {kind_of(value)} where {kind_of(old)} was (--toml takes numbers, booleans and dates)"
    return "changed"


def _advice(checked: Definition, text: str, path: str, names: list[tuple[str, str]]) -> list[Advice]:
    """Return what there is to say of the values just set. Who sets several at once means them to be the same."""
    advice = [each for each in lint(checked, text, path) if each.path in names]
    return [each for each in advice if len(names) == 1 or each.rule != "shared-value"]


def _value(options: Namespace) -> Value:
    if options.generate:
        return "".join(secrets.choice(ALPHABET) for _ in range(options.generate))
    if options.stdin or options.value_file is not None:
        text = _read_value(STDIN if options.stdin else options.value_file)
    else:
        text = ask_hidden(f"value of {', '.join(options.name)}", "--stdin, --value-file FILE or --generate 32")
        say(f"{counted(len(text), 'character')}")
    if not text and not options.allow_empty:
        raise OperatorError(f"{_source(options)}: an empty value", "if it is to be empty: --allow-empty")
    return _parse_toml(text) if options.toml else text


def _source(options: Namespace) -> str:
    if options.stdin:
        return name(STDIN)
    return f"value of {', '.join(options.name)}" if options.value_file is None else options.value_file


def _read_value(path: str) -> str:
    """Return a file's text. What has one line only loses its line end; what has more is kept byte for byte."""
    try:
        text = read(path, SHARD_LIMIT_BYTES).decode()
    except UnicodeDecodeError:
        raise OperatorError(f"{name(path)}: not UTF-8, which a value is", "encode it, as base64 perhaps") from None
    line = text.removesuffix("\n").removesuffix("\r")
    return text if "\n" in line else line


def _parse_toml(text: str) -> Value:
    try:
        tables = tomli.loads(f"value = {text}")
    except (tomli.TOMLDecodeError, ValueError, RecursionError):
        tables = {}
    if list(tables) != ["value"] or isinstance(tables["value"], list | dict):
        raise OperatorError("not one TOML value", "--toml takes 3, 2.5, true, 2027-01-31 or a string in quotes")
    value: Value = tables["value"]
    return value
