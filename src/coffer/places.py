"""Where in a TOML text a table or key stands, for the errors that name it.

Not here: reading TOML, which is tomli's, but it keeps no positions. So this scans the text once more, and only
when there is something to report. The text is TOML that tomli took; in any other the scan ends early.
"""

from __future__ import annotations

import re

import tomli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    Path = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_OPENING = re.compile(r"\[{0,2}[ \t]*+")
_KEY = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_KEYS = re.compile(rf"{_KEY}(?:[ \t]*+\.[ \t]*+{_KEY})*+")
# A piece of a statement: a string of one of the four kinds, a comment, a bracket, the end of a line, the rest.
_PIECE = re.compile(
    r""""{3}(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}|'{3}(?:[^']|'{1,2}(?!'))*+'{3,5}"""
    r"""|"(?:[^"\\]|\\.)*+"|'[^']*+'|#[^\n]*+|[\[\]{}\n]|[^"'#\[\]{}\n]++""",
    re.DOTALL,
)


def locate(text: str, wanted: Collection[Path]) -> dict[Path, tuple[int, int]]:
    """Return line and column, from 1, of the first statement about each wanted path that there is.

    A path is (table,), (table, key) or, before the first table, (key,).
    """
    places: dict[Path, tuple[int, int]] = {}
    line, counted = 1, 0
    for path, start in _statements(text):
        line, counted = line + text.count("\n", counted, start), start
        for part in (path[:1], path[:2]):
            if part in wanted and part not in places:
                places[part] = line, start - text.rfind("\n", 0, start)
        if len(places) == len(wanted):
            break
    return places


def keys_before_tables(text: str) -> list[str]:
    """Return the keys that stand before the first table, each once."""
    start = _end_of(_BLANK, text, 0)
    if text.startswith("[", start):
        return []
    keys = dict.fromkeys(path[0] for path, start in _statements(text, until_table=True))
    return list(keys)


def _statements(text: str, *, until_table: bool = False) -> Iterator[tuple[Path, int]]:
    """Go through tables and keys, each with its full path and where it begins."""
    table: Path = ()
    at = _end_of(_BLANK, text, 0)
    while keys := _KEYS.match(text, _end_of(_OPENING, text, at)):
        opens_table = text[at] == "["
        if opens_table and until_table:
            return
        path = _parse_keys(keys[0])
        table = path if opens_table else table
        yield path if opens_table else table + path, at
        at = _end_of(_BLANK, text, _end_of_statement(text, at))


def _end_of_statement(text: str, at: int) -> int:
    depth = 0
    for piece in _PIECE.finditer(text, at):
        first = text[piece.start()]
        if first == "\n" and depth == 0:
            return piece.end()
        depth += (first in "[{") - (first in "]}")
    return len(text)


def _parse_keys(dotted: str) -> Path:
    """Read ``a."b c".d`` as tomli does, by having tomli read it."""
    if not any(character in dotted for character in "\"'. \t"):
        return (dotted,)
    path: Path = ()
    nest = tomli.loads(f"{dotted} = 0")
    while isinstance(nest, dict):
        ((key, nest),) = nest.items()
        path += (key,)
    return path


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Skip what a pattern matches; these patterns match the empty string too."""
    match = pattern.match(text, at)
    return match.end() if match else at
