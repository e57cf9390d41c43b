"""Values in a .env file, read as python-dotenv reads them, which is how ``coffer-client get`` writes them.

    NAME=plain text        # up to a "#" after a blank; blanks around it cut
    NAME='as it stands'    several lines, too; \\\\ and \\' are the only escapes
    export NAME="one\\ntwo"  several lines, too; with the escapes of C

Rule: what readers of such files do not agree on, above all ``${``, is refused outside of single quotes.
"""

from __future__ import annotations

import re

from coffer.companion.collected import Collected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match

    from coffer.shard import Value

_SKIPPED = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:#[^\n]*\Z)?")
_NAME = re.compile(r"(?:export[ \t]+)?(?:'(?P<quoted>[^'\n]+)'|(?P<name>[^=#\s'\"]+))[ \t]*=[ \t]*")
_QUOTES = ("'", '"')
_QUOTED = re.compile(
    r"""(?s:'(?P<single>(?:[^'\\]|\\.)*+)'|"(?P<double>(?:[^"\\]|\\.)*+)")[ \t]*(?:#[^\n]*)?(?=\n|\Z)"""
)
_PLAIN = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"[ \t]+#.*\Z")
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_EXPANDS = "holds ${, where readers put another variable"
_COMMENTS = "begins with #, which is a comment to some readers"


def parse_dotenv(text: str, source: str) -> dict[str, Value]:
    """Return the values, all strings. Raises DefinitionError."""
    collected = Collected(source)
    text = text.replace("\r\n", "\n")
    at = _skip(text, 0)
    while at < len(text):
        at = _skip(text, _read_assignment(text, at, collected))
    return collected.finish()


def _skip(text: str, at: int) -> int:
    match = _SKIPPED.match(text, at)
    return match.end() if match else at


def _read_assignment(text: str, at: int, collected: Collected) -> int:
    """Read the assignment at ``at``; return where it ends, or the line that is none."""
    line = text.count("\n", 0, at) + 1
    name = _NAME.match(text, at)
    if not name:
        collected.refuse("not NAME=value", line=line)
        return _end_of_line(text, at)
    key = name["quoted"] or name["name"]
    found = (_QUOTED if text[name.end() : name.end() + 1] in _QUOTES else _PLAIN).match(text, name.end())
    if not found:
        collected.refuse("a quote that is not closed, or something after it", key=key, line=line)
        return _end_of_line(text, at)
    value, doubt = _value(found)
    if doubt:
        collected.refuse(doubt, key=key, line=line, hint="in single quotes it is taken as it stands")
    else:
        collected.add(key, value, line)
    return found.end()


def _value(found: Match[str]) -> tuple[str, str | None]:
    """Return a value, or why readers may take it for something else."""
    if found.re is _PLAIN:
        text = _COMMENT.sub("", found[0]).rstrip()
        return text, _COMMENTS if text.startswith("#") else _EXPANDS if "${" in text else None
    if found["single"] is not None:
        return _SINGLE_ESCAPE.sub(r"\1", found["single"]), None
    text = _DOUBLE_ESCAPE.sub(lambda each: _ESCAPES.get(each[1], each[1]), found["double"])
    return text, _EXPANDS if "${" in found["double"] else None


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
