"""Keys and values as they are written in a definition.

Not here: reading them, which is tomli's, and a value as an environment takes it (``shard.format_value``).
"""

from __future__ import annotations

from coffer.shard import format_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer.shard import Value

_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def format_key(key: str) -> str:
    """Return a key or the name of a table, quoted where TOML wants it."""
    bare = key.isascii() and key.replace("-", "x").replace("_", "x").isalnum()
    return key if bare else _quote(key)


def format_literal(value: Value) -> str:
    """Return a value with its TOML type; a string of several lines stays several lines."""
    if not isinstance(value, str):
        return format_value(value)
    if "\n" in value.rstrip("\n"):
        return '"""\n' + "\n".join(map(_escape, value.split("\n"))) + '"""'
    return _quote(value)


def is_same(one: Value | None, other: Value | None) -> bool:
    """Whether two values are written alike, so that no reader can tell them apart; None is where no value is.

    Not ``==``, to which one moment in two offsets is equal, 0.0 to -0.0, 1 to true, and no NaN to itself.
    """
    if one is None or other is None:
        return one is other
    return format_literal(one) == format_literal(other)


def _quote(text: str) -> str:
    return f'"{_escape(text)}"'


def _escape(text: str) -> str:
    return "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08X}"
