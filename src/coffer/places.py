"""Where in a TOML text a table or key stands, for the errors that name it and the companion that changes it.

Not here: reading TOML, which is tomli's, but it keeps no positions. So this scans the text once more, and only
when there is something to report or change. The text is TOML that tomli took; in any other the scan ends early.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import tomli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import TypeAlias, TypeVar

    from coffer.errors import Finding

    Path: TypeAlias = tuple[str, ...]
    AnyFinding = TypeVar("AnyFinding", bound=Finding)

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_OPENING = re.compile(r"\[{0,2}[ \t]*+")
_KEY = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_KEYS = re.compile(rf"{_KEY}(?:[ \t]*+\.[ \t]*+{_KEY})*+")
_VALUE = re.compile(r"[ \t]*+=[ \t]*+")
# A piece of a statement: a string of one of the four kinds, a comment, a bracket, the end of a line, the rest.
_PIECE = re.compile(
    r""""{3}(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}|'{3}(?:[^']|'{1,2}(?!'))*+'{3,5}"""
    r"""|"(?:[^"\\]|\\.)*+"|'[^']*+'|#[^\n]*+|[\[\]{}\n]|[^"'#\[\]{}\n]++""",
    re.DOTALL,
)


class Statement(NamedTuple):
    """A table's header or a key with its value: its full path, where it begins, and where the next line does."""

    path: Path
    opens_table: bool
    start: int
    end: int


def locate(text: str, wanted: Collection[Path]) -> dict[Path, tuple[int, int]]:
    """Return line and column, from 1, of the first statement about each wanted path that there is.

    A path is (table,), (table, key) or, before the first table, (key,).
    """
    places: dict[Path, tuple[int, int]] = {}
    line, counted = 1, 0
    for path, _, start, _ in statements(text):
        line, counted = line + text.count("\n", counted, start), start
        for part in (path[:1], path[:2]):
            if part in wanted and part not in places:
                places[part] = line, start - text.rfind("\n", 0, start)
        if len(places) == len(wanted):
            break
    return places


def place(findings: Collection[AnyFinding], text: str) -> list[AnyFinding]:
    """Give each finding the line and column of what it is about, and return them in the order of the text.

    What is about no place in it comes first, with None for both.
    """
    places = locate(text, {finding.path for finding in findings})
    for finding in findings:
        finding.line, finding.column = places.get(finding.path, (None, None))
    return sorted(findings, key=lambda finding: finding.line or 0)


def keys_before_tables(text: str) -> list[str]:
    """Return the keys that stand before the first table, each once."""
    if text.startswith("[", _end_of(_BLANK, text, 0)):
        return []
    keys: dict[str, None] = {}
    for statement in statements(text):
        if statement.opens_table:
            break
        keys[statement.path[0]] = None
    return list(keys)


def statements(text: str) -> Iterator[Statement]:
    """Go through tables and keys, in their order."""
    table: Path = ()
    at = _end_of(_BLANK, text, 0)
    while keys := _KEYS.match(text, _end_of(_OPENING, text, at)):
        opens_table = text[at] == "["
        path = _parse_keys(keys[0])
        table = path if opens_table else table
        end = _end_of_statement(text, at)
        yield Statement(path if opens_table else table + path, opens_table, at, end)
        at = _end_of(_BLANK, text, end)


def value_span(text: str, start: int) -> tuple[int, int]:
    """Return where the value of the key that stands at ``start`` begins and ends, without a comment after it."""
    begin = _VALUE.match(text, _end_of(_KEYS, text, start))
    at = begin.end() if begin else start
    depth = 0
    for piece in _PIECE.finditer(text, at):
        first = text[piece.start()]
        if first in "\n#" and depth == 0:
            return at, at + len(text[at : piece.start()].rstrip())
        depth += (first in "[{") - (first in "]}")
    return at, at + len(text[at:].rstrip())


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
