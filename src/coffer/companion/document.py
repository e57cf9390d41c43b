"""The text of a definition, changed by client and key: what a change does not touch stays byte for byte.

Changes are spliced into the text. tomlkit, which is made for this, puts a new key behind the comment that introduces
the next table, and takes seconds where a definition has megabytes.

Not here: what a definition may say (``definition``). The text has been checked before it comes here.

Rule 1: the changed text, read anew, says what was asked for and nothing else, or the program crashes.
Rule 2: comment lines directly above a header belong to that table, and go when it goes.
"""

from __future__ import annotations

import tomli

from coffer.companion.id_list import add_id, drop_id, format_ids
from coffer.definition import CLIENTS
from coffer.names import missing_client, missing_value
from coffer.places import statements, value_span
from coffer.toml import format_key, format_literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from coffer.places import Path
    from coffer.shard import Value


class Document:
    """A definition's text. Changes are collected, and ``format()`` returns the text that has them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tables: dict[str, dict[str, Any]] = tomli.loads(text)
        self._statements = list(statements(text))
        self._places = {each.path: each for each in self._statements}
        self._changed: dict[Path, str | None] = {}
        self._added: dict[str, dict[str, str]] = {}
        self._removed: list[str] = []

    def clients(self) -> list[str]:
        """Return the names of the clients, in the order of ``[clients]``."""
        return list(self._tables[CLIENTS])

    def has_client(self, client: str) -> bool:
        """Whether there is a client of that name."""
        return client in self._tables[CLIENTS]

    def ids(self, client: str) -> list[str]:
        """Return the ids of a client as they are written. Raises MissingNameError."""
        self.check_client(client)
        listed = self._tables[CLIENTS][client]
        return [listed] if isinstance(listed, str) else list(listed)

    def values(self, client: str) -> dict[str, Value]:
        """Return a copy of a client's values. Raises MissingNameError."""
        self.check_client(client)
        return dict(self._tables.get(client, {}))

    def check_client(self, client: str) -> None:
        """Raise MissingNameError if there is no such client."""
        if not self.has_client(client):
            raise missing_client(client, self.clients())

    def set(self, client: str, key: str, value: Value) -> None:
        """Give a client a value: a new one after its others, or another one in its place."""
        self.check_client(client)
        self._put(client, key, value, format_literal(value))

    def unset(self, client: str, key: str) -> None:
        """Take a value from a client. Raises MissingNameError if it has none of that name."""
        values = self.values(client)
        if key not in values:
            raise missing_value(client, key, values)
        self._drop(client, key)

    def add_client(self, client: str, ids: list[str]) -> None:
        """Add a client that is not there yet, with an empty table."""
        self._put(CLIENTS, client, ids[0] if len(ids) == 1 else ids, format_ids(ids))
        self._tables.setdefault(client, {})

    def remove_client(self, client: str) -> None:
        """Take a client out, with its ids, its values and the comment above its table."""
        self.check_client(client)
        self._drop(CLIENTS, client)
        self._tables.pop(client, None)
        self._removed.append(client)

    def add_id(self, client: str, id_text: str) -> None:
        """Let one more id have the client's values."""
        ids = [*self.ids(client), id_text]
        self._put(CLIENTS, client, ids, add_id(self._literal(CLIENTS, client), ids))

    def drop_id(self, client: str, id_text: str) -> None:
        """Take away one of a client's several ids; ``id_text`` is written as the definition writes it."""
        ids = [each for each in self.ids(client) if each != id_text]
        self._put(CLIENTS, client, ids, drop_id(self._literal(CLIENTS, client), id_text, ids))

    def format(self) -> str:
        """Return the changed text."""
        newline = "\r\n" if "\r\n" in self._text else "\n"
        text = self._text
        for start, end, new in sorted(self._splices(), reverse=True):
            text = text[:start] + new.replace("\n", newline) + text[end:]
        if not text.endswith("\n"):
            text += newline
        for client in self._tables:
            if (client,) not in self._places:
                lines = "".join(self._added.get(client, {}).values())
                text += f"\n[{format_key(client)}]\n{lines}".replace("\n", newline)
        # Not ==, to which no NaN is equal, and neither the order of keys nor true and 1 matter.
        if repr(tomli.loads(text)) != repr(self._tables):
            raise RuntimeError("a definition came out otherwise than it was to be changed")
        return text

    def _put(self, table: str, key: str, value: Any, literal: str) -> None:
        self._tables.setdefault(table, {})[key] = value
        if (table, key) in self._places:
            self._changed[table, key] = literal
        else:
            self._added.setdefault(table, {})[key] = f"{format_key(key)} = {literal}\n"

    def _drop(self, table: str, key: str) -> None:
        del self._tables[table][key]
        if (table, key) in self._places:
            self._changed[table, key] = None
        else:
            del self._added[table][key]

    def _literal(self, table: str, key: str) -> str:
        changed = self._changed.get((table, key))
        return changed or self._text[slice(*value_span(self._text, self._places[table, key].start))]

    def _splices(self) -> Iterator[tuple[int, int, str]]:
        """Return what to put in place of which part of the text; no two parts overlap."""
        for path, literal in self._changed.items():
            if path[0] not in self._removed:
                yield self._splice(path, literal)
        for table, lines in self._added.items():
            if (table,) in self._places and table not in self._removed:
                end = max(each.end for each in self._statements if each.path[0] == table)
                yield end, end, self._on_its_own_line(end, "".join(lines.values()))
        for table in self._removed:
            if (table,) in self._places:
                yield *self._table_span(table), ""

    def _splice(self, path: Path, literal: str | None) -> tuple[int, int, str]:
        statement = self._places[path]
        if literal is not None:
            return *value_span(self._text, statement.start), literal
        return self._text.rfind("\n", 0, statement.start) + 1, statement.end, ""

    def _on_its_own_line(self, at: int, lines: str) -> str:
        return lines if self._text.endswith("\n", 0, at) else f"\n{lines}"

    def _table_span(self, table: str) -> tuple[int, int]:
        """Return where a table begins, with the comment on it, and ends; the last takes the blank lines above along."""
        starts = [self._attached(at) for at, each in enumerate(self._statements) if each.opens_table]
        at = [each.path[0] for each in self._statements if each.opens_table].index(table)
        if at < len(starts) - 1:
            return starts[at], starts[at + 1]
        body = len(self._text[: starts[at]].rstrip("\r\n"))
        return self._text.index("\n", body) + 1 if body else 0, len(self._text)

    def _attached(self, number: int) -> int:
        """Return where the comment lines directly above a statement begin, or the statement itself."""
        start = self._statements[number].start
        floor = self._statements[number - 1].end if number else 0
        while start > floor:
            above = self._text.rfind("\n", floor, start - 1) + 1 or floor
            if not self._text[above:start].lstrip().startswith("#"):
                break
            start = above
        return start
