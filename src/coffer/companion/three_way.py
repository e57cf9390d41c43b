"""Two definitions that grew from one, put together by client and key. Texts in, text and conflicts out.

Rule: of theirs comes what they changed since the base; where we changed it too, and otherwise, ours stays and the
conflict is named.
"""

from __future__ import annotations

from coffer.companion.document import Document
from coffer.identity import format_id, parse_id
from coffer.toml import format_key, is_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer.shard import Value


class Merge:
    """Changes ``ours`` to hold what ``theirs`` changed since ``base``; ``conflicts`` has a line each."""

    def __init__(self, base: Document | None, ours: Document, theirs: Document) -> None:
        self.conflicts: list[str] = []
        self._base = base
        self._ours = ours
        self._theirs = theirs
        old = base.clients() if base else []
        for client in dict.fromkeys([*old, *theirs.clients()]):
            self._client(client, client in old)

    def _client(self, client: str, in_base: bool) -> None:
        in_ours, in_theirs = client in self._ours.clients(), client in self._theirs.clients()
        if in_ours and in_theirs:
            self._ids(client, in_base)
            self._values(client)
        elif in_theirs and not in_base:
            self._ours.add_client(client, self._theirs.ids(client))
            self._values(client)
        elif in_theirs and self._differs(self._theirs, client):
            self.conflicts.append(f"client {client}: removed here, changed there")
        elif in_ours and self._differs(self._ours, client):
            self.conflicts.append(f"client {client}: changed here, removed there")
        elif in_ours:
            self._ours.remove_client(client)

    def _differs(self, document: Document, client: str) -> bool:
        """Whether a client is not as it was in the base, where it was."""
        base, values = _values_of(self._base, client), _values_of(document, client)
        return _ids(document, client).keys() != _ids(self._base, client).keys() or any(
            not is_same(base.get(key), values.get(key)) for key in {**base, **values}
        )

    def _ids(self, client: str, in_base: bool) -> None:
        base, ours, theirs = (_ids(each, client) for each in (self._base, self._ours, self._theirs))
        if not in_base and ours.keys() != theirs.keys():
            self.conflicts.append(f"client {client}: added on both sides, with different ids")
            return
        added, dropped = theirs.keys() - base.keys() - ours.keys(), (base.keys() - theirs.keys()) & ours.keys()
        if dropped and not added and dropped == ours.keys():
            self.conflicts.append(f"client {client}: each side took away another id, and none would be left")
            return
        for id_text in sorted(added):
            self._ours.add_id(client, id_text)
        for id_text in sorted(dropped):
            self._ours.drop_id(client, ours[id_text])

    def _values(self, client: str) -> None:
        base, ours, theirs = (_values_of(each, client) for each in (self._base, self._ours, self._theirs))
        for key in dict.fromkeys([*base, *theirs]):
            old, our, their = base.get(key), ours.get(key), theirs.get(key)
            if is_same(their, old) or is_same(their, our):
                continue
            if not is_same(our, old):
                self.conflicts.append(f"{client}.{format_key(key)}: {_what_happened(old, our, their)}")
            elif their is None:
                self._ours.unset(client, key)
            else:
                self._ours.set(client, key, their)


def _what_happened(old: Value | None, our: Value | None, their: Value | None) -> str:
    if our is None:
        return "removed here, changed there"
    if their is None:
        return "changed here, removed there"
    return "added on both sides, with different values" if old is None else "changed on both sides"


def _ids(document: Document | None, client: str) -> dict[str, str]:
    """Return the ids of a client in their one form, each with the form in which the definition has it."""
    written = document.ids(client) if document and client in document.clients() else []
    return {format_id(parse_id(each)): each for each in written}


def _values_of(document: Document | None, client: str) -> dict[str, Value]:
    return document.values(client) if document and client in document.clients() else {}
