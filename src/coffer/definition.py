"""A definition: the TOML in which an operator says who each client is and which values it gets.

Not here: the sealed file that a definition travels in (``envelope``), and advice on one that is allowed (``lint``).

Rule 1: a definition is taken whole or refused whole, with everything that is wrong in it told at once.
Rule 2: a finding names file, table, key and reason, and never holds a value.
Rule 3: what is checked is what is served: a client keeps its encoded shard, not the table it was made of.
"""

from __future__ import annotations

import re
import sys

import tomli

from coffer.codec import count, decode, encode
from coffer.errors import DefinitionError, Finding, IdError
from coffer.identity import parse_id
from coffer.message import SHARD_LIMIT_BYTES
from coffer.places import keys_before_tables, place
from coffer.shard import INTEGER_MAXIMUM, fault_of, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from coffer.shard import Shard

LIMIT_BYTES = 64 * 1024 * 1024
CLIENTS = "clients"
NOBODY: Mapping[bytes, str] = {}

_is_client_name = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch

_HINTS = {
    "an array is not a value": "write one string, or give each element a key of its own",
    "a table is not a value": 'a dotted key or header makes a table; a dot in a name needs quotes: "a.b"',
    "an integer outside 64 bits": "write it as a string",
}
_ID_FORM = 'an id is text, NAME = "ID", or a list of such texts, NAME = ["ID", "ID"]'
_ID_AGAIN = "copy it again: coffer-companion id KEYFILE prints it"
_ID_OWN = "each client has a key of its own: coffer-companion keygen makes one"
_SINGLE = "write its header once, in single brackets"

# How tomli's messages begin, and what we say instead: its own words can quote the text, and the text is secret.
_SYNTAX = {
    "Cannot declare": "a table that comes twice",
    "Cannot mutate": "an array or inline table that is added to later",
    "Cannot overwrite": "a key that comes twice",
    "Cannot redefine": "a table that comes twice",
    "Duplicate inline": "a key that comes twice",
    "Escaped character": "an escape that stands for no character",
    "Expected ']": "a table header that is not closed",
    "Expected '='": "a key without a value",
    "Expected \"'": "a string that is not closed",
    "Expected newline": "something after the end of a value or table header",
    "Found invalid": "a control character, or a string that is not closed on its line",
    "Illegal character": "a control character, or a string that is not closed on its line",
    "Invalid date": "a date that does not exist",
    "Invalid hex": "an escape without its hexadecimal digits",
    "Invalid initial": "no key where one belongs",
    "Invalid statement": "neither a table, a key nor a comment",
    "Invalid value": "no value that TOML knows; text belongs in quotes",
    "Unclosed array": "an array that is not closed",
    "Unclosed inline": "an inline table that is not closed",
    "Unescaped": "a backslash that escapes nothing; in single quotes it stands for itself",
    "Unterminated": "a string that is not closed",
}


class Client:
    """One client of a definition: its name, its ids as 32-byte public keys, and its shard, encoded."""

    __slots__ = ("encoded", "ids", "name")

    def __init__(self, name: str, ids: tuple[bytes, ...], encoded: bytes) -> None:
        self.name = name
        self.ids = ids
        self.encoded = encoded

    @property
    def shard(self) -> Shard:
        """The values as the client will read them, decoded anew each time."""
        return decode(self.encoded)

    @property
    def value_count(self) -> int:
        """How many values there are: the length that stands at the head of the encoded array."""
        return count(self.encoded)

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client can neither be pickled nor copied")


class Definition:
    """A definition in which nothing was found wrong. ``clients`` maps names to clients, in the file's order."""

    __slots__ = ("clients",)

    def __init__(self, clients: dict[str, Client]) -> None:
        self.clients = clients

    def __repr__(self) -> str:
        return f"<Definition of {len(self.clients)} client{'' if len(self.clients) == 1 else 's'}>"


def parse(
    text: str | bytes,
    *,
    source: str,
    limit_bytes: int = LIMIT_BYTES,
    server: bytes | None = None,
    companion: bytes | None = None,
    others: Mapping[bytes, str] = NOBODY,
) -> Definition:
    """Return the definition in ``text``, or raise DefinitionError with everything that is wrong in it.

    ``source`` names the file in the findings. ``server`` and ``companion`` are public keys that no client
    may have, and so are ``others``, which says whose each of them is.
    """
    text = _read_text(text, source, limit_bytes)
    checker = _Checker(source, {server: "the server", companion: "the companion"}, others)
    clients = checker.clients(_read_toml(text, source), keys_before_tables(text))
    if checker.findings:
        raise DefinitionError.of(place(checker.findings, text))
    return Definition(clients)


class _Checker:
    """Goes through a definition once, collects what is wrong and encodes what is right."""

    def __init__(self, source: str, programs: Mapping[bytes | None, str], others: Mapping[bytes, str]) -> None:
        self.findings: list[Finding] = []
        self._source = source
        self._programs = programs
        self._others = others
        self._owners: dict[bytes, str] = {}

    def clients(self, tables: dict[str, Any], stray: list[str]) -> dict[str, Client]:
        """Return the clients; ``tables`` is emptied on the way, so that nothing is held twice for long."""
        for key in stray:
            self._find("a key before the first table", key=key, hint="put it under the [table] of its client")
            tables.pop(key, None)
        listed = self._listed(tables.pop(CLIENTS, None))
        clients = {
            name: Client(name, self._ids(name, ids), self._encoded(name, tables.pop(name, {})))
            for name, ids in (listed or {}).items()
        }
        for name, table in tables.items():
            if listed is not None:
                self._find("no client of that name in [clients]", name, hint="add it there with its id, or remove it")
            self._encoded(name, table)
        return clients

    def _listed(self, table: object) -> dict[str, object] | None:
        if table is None:
            self._find("no table [clients]", hint='add [clients] and under it a line NAME = "ID" for each client')
        elif not isinstance(table, dict):
            self._find("an array of tables", CLIENTS, hint=_SINGLE)
        else:
            return table
        return None

    def _ids(self, name: str, listed: object) -> tuple[bytes, ...]:
        if name == CLIENTS:
            self._find("no client may have this name", CLIENTS, name)
        elif not _is_client_name(name):
            self._find("a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -", CLIENTS, name)
        if not isinstance(listed, list):
            return self._id(name, listed, "")
        if not listed:
            self._find("an empty list of ids", CLIENTS, name, _ID_FORM)
        numbered = enumerate(listed, 1)
        return tuple(key for number, text in numbered for key in self._id(name, text, f"id {number}: "))

    def _id(self, name: str, text: object, which: str) -> tuple[bytes, ...]:
        """Return the one public key that the text names, or none and a finding."""
        if not isinstance(text, str):
            self._find(f"{which}{kind_of(text)} where an id belongs", CLIENTS, name, _ID_FORM)
            return ()
        try:
            public = parse_id(text)
        except IdError as error:
            self._find(f"{which}{error}", CLIENTS, name, _ID_AGAIN)
            return ()
        taken = self._taken(public, name)
        if taken:
            self._find(f"{which}{taken}", CLIENTS, name, _ID_OWN)
        self._owners.setdefault(public, name)
        return (public,)

    def _taken(self, public: bytes, name: str) -> str | None:
        """Say whose this id is already, if it is; a client's name is quoted, for it may be anything."""
        program, owner = self._programs.get(public) or self._others.get(public), self._owners.get(public)
        if program or owner is None:
            return program and f"the id of {program}"
        return "an id listed twice" if owner == name else f"the id of client {owner!r} too"

    def _encoded(self, name: str, table: object) -> bytes:
        if not isinstance(table, dict):
            self._find("an array of tables", name, hint=_SINGLE)
            return b""
        faults = {key: fault for key, value in table.items() if (fault := fault_of(key, value))}
        for key, fault in faults.items():
            self._find(fault, name, key, _HINTS.get(fault))
            del table[key]
        encoded = encode(table)
        excess = len(encoded) - SHARD_LIMIT_BYTES
        if excess > 0:
            size = f"{len(encoded):,} bytes of CBOR, {excess:,} over the limit of {SHARD_LIMIT_BYTES:,}"
            self._find(size, name, hint="keep large things elsewhere, and here the key that opens them")
        return encoded

    def _find(self, reason: str, table: str | None = None, key: str | None = None, hint: str | None = None) -> None:
        self.findings.append(Finding(self._source, reason, table=table, key=key, hint=hint))


def _read_text(text: str | bytes, source: str, limit_bytes: int) -> str:
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > limit_bytes:
        reason = f"{len(raw):,} bytes, {len(raw) - limit_bytes:,} over the limit of {limit_bytes:,}"
        raise DefinitionError.of([Finding(source, reason, hint="raise the limit with --definition-limit")])
    try:
        decoded, fault, end = raw.decode(), "", 0
    except UnicodeDecodeError as error:
        decoded, fault, end = "", "not UTF-8", error.start
    if decoded.startswith("\ufeff"):
        fault = "a byte order mark"
    if fault:
        before = raw[:end].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        hint = "save the file as UTF-8, without a byte order mark"
        raise DefinitionError.of([Finding(source, fault, line=line, column=column, hint=hint)])
    return decoded


def _read_toml(text: str, source: str) -> dict[str, Any]:
    shorter = text
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        reason = next((ours for theirs, ours in _SYNTAX.items() if error.msg.startswith(theirs)), "not TOML")
        finding = Finding(source, reason, line=error.lineno, column=error.colno)
    except RecursionError:
        finding = Finding(source, "arrays, tables or dotted keys nested hundreds deep")
    except ValueError:
        # Only Python's limit on the digits of an integer gets here: tomli makes of every other one an error of its own.
        shorter = _shorten_integers(text)
        finding = Finding(source, "not TOML")
    if shorter != text:
        return _read_toml(shorter, source)
    raise DefinitionError.of([finding])  # out here, because tomli's exception carries the whole text


def _shorten_integers(text: str) -> str:
    """Cut the integers that Python refuses to read, so that they are found by table and key as too large."""
    digits = sys.get_int_max_str_digits()
    return re.sub(rf"[0-9](?:_?[0-9]){{{digits},}}", str(INTEGER_MAXIMUM + 1), text)
