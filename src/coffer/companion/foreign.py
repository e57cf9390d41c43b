"""Values in the files of other programs: .env, JSON, YAML and TOML.

A file is taken whole or refused whole, with everything that is wrong told at once. What two readers of a format take
for different things is refused rather than guessed.

Not here: .env and YAML, each a module of its own.
"""

from __future__ import annotations

import json
from math import isfinite

import tomli

from coffer import definition
from coffer.companion.collected import Collected
from coffer.companion.dotenv import parse_dotenv
from coffer.companion.yaml_scalars import parse_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from coffer.shard import Value


# How json's messages begin, and what we say instead, as of TOML: no message of another's shows what was read.
_JSON_SYNTAX = {
    "Expecting ',' delimiter": "neither a comma nor the end where one of them belongs",
    "Expecting ':' delimiter": "a name without a colon after it",
    "Expecting property name": "no name in double quotes where one belongs",
    "Expecting value": "no value that JSON knows",
    "Extra data": "something after the end of the JSON",
    "Illegal trailing comma": "a comma before the end of an object or array",
    "Invalid \\escape": "a backslash that escapes nothing",
    "Invalid \\uXXXX": "an escape without its hexadecimal digits",
    "Invalid control": "a control character, or a string that is not closed on its line",
    "Unexpected UTF-8 BOM": "a byte order mark",
    "Unterminated string": "a string that is not closed",
}


def parse_json(text: str, source: str) -> dict[str, Value]:
    """Return the values of one object. Raises DefinitionError."""
    collected = Collected(source)
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse, parse_float=_parse_float)
    except json.JSONDecodeError as error:
        cause = next((ours for theirs, ours in _JSON_SYNTAX.items() if error.msg.startswith(theirs)), "not JSON")
        collected.refuse(cause, line=error.lineno, column=error.colno)
        return collected.finish()
    except (ValueError, RecursionError):
        collected.refuse("JSON, but with NaN, Infinity, or numbers or nesting beyond measure")
        return collected.finish()
    if not isinstance(pairs, _Pairs):
        collected.refuse("not one JSON object of names and values")
        return collected.finish()
    for key, value in pairs:
        collected.add(key, dict(value) if isinstance(value, _Pairs) else value)
    return collected.finish()


def parse_toml(text: str, source: str) -> dict[str, Value]:
    """Return the values of lines ``KEY = value``. Raises DefinitionError."""
    collected = Collected(source)
    try:
        values = tomli.loads(text)
    except tomli.TOMLDecodeError:
        values = None  # nothing is raised in here, because tomli's exception carries the whole text
    except (ValueError, RecursionError):
        collected.refuse("TOML, but with numbers or nesting beyond measure")
        return collected.finish()
    if values is None:
        _explain_toml(text, source)
    for key, value in values.items():
        collected.add(key, value)
    return collected.finish()


READERS: dict[str, Callable[[str, str], dict[str, Value]]] = {
    "dotenv": parse_dotenv,
    "json": parse_json,
    "yaml": parse_yaml,
    "toml": parse_toml,
}


class _Pairs(list[tuple[str, "Any"]]):
    """A JSON object in which a name that comes twice still is there twice."""


def _explain_toml(text: str, source: str) -> NoReturn:
    """Raise the DefinitionError that ``seal`` would: line, column and cause, in words that show nothing of the text."""
    definition.parse(text, source=source)
    raise RuntimeError("TOML that was refused once, and then taken")


def _refuse(constant: str) -> NoReturn:
    """NaN and Infinity, which are not JSON."""
    raise ValueError


def _parse_float(text: str) -> float:
    """Return a number, unless it is one that readers take for infinity."""
    value = float(text)
    return value if isfinite(value) else _refuse(text)
