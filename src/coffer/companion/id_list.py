"""The ids of one client as a definition writes them, a string or an array: one more, one less, comments kept."""

from __future__ import annotations

import re

import tomli

from coffer.toml import format_literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match

_PIECE = re.compile(r"""#[^\n]*|"[^"\n]*"|'[^'\n]*'""")
_OWN_LINE = re.compile(r"""[ \t]*(?P<id>"[^"\n]*"|'[^'\n]*')[ \t]*,?[ \t]*(?:#[^\n]*)?\n""")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def format_ids(ids: list[str]) -> str:
    """Return the value that lists these ids: a string if it is one, else an array with a line each."""
    return format_literal(ids[0]) if len(ids) == 1 else _array(ids)


def add_id(literal: str, ids: list[str]) -> str:
    """Return ``literal``, the value that lists all of ``ids`` but the last, with that one at its end."""
    old, new = literal, format_literal(ids[-1])
    if not old.startswith("["):
        return f"[\n    {old},\n    {new},\n]"
    last = _strings(old)[-1].end()
    after = old[last:-1].rstrip()
    if "\n" not in old:
        return _sound(f"{old[:last]}, {new}]", ids)
    comma = "" if "," in _PIECE.sub("", after) else ","
    return _sound(f"{old[:last]}{comma}{after}\n    {new},\n]", ids)


def drop_id(literal: str, dropped: str, ids: list[str]) -> str:
    """Return ``literal``, an array that lists ``dropped`` and all of ``ids``, without the former."""
    start, end = next((each.span() for each in _strings(literal) if each[0][1:-1] == dropped), (0, 0))
    begin = literal.rfind("\n", 0, start) + 1
    line = _OWN_LINE.match(literal, begin)
    if line and line.start("id") == start:
        return _sound(literal[:begin] + literal[line.end() :], ids)
    comma = _COMMA.match(literal, end)
    if comma:
        return _sound(literal[:start] + literal[comma.end() :], ids)
    return _sound(literal[:start].rstrip().removesuffix(",") + literal[end:], ids)


def _strings(literal: str) -> list[Match[str]]:
    return [each for each in _PIECE.finditer(literal) if not each[0].startswith("#")]


def _sound(literal: str, ids: list[str]) -> str:
    """Return ``literal`` if it lists these ids; one written by hand in a way not foreseen is written anew."""
    try:
        listed = tomli.loads(f"ids = {literal}")["ids"]
    except tomli.TOMLDecodeError:
        listed = None
    return literal if listed == ids else _array(ids)


def _array(ids: list[str]) -> str:
    return "[" + "".join(f"\n    {format_literal(each)}," for each in ids) + "\n]"
