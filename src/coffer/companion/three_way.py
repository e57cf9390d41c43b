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

NOTHING = "[clients]\n"


def merge(base: Document | None, ours: Document, theirs: Document) -> list[str]:
    """Change ``ours`` to hold what ``theirs`` changed since ``base``, if there is one; return a line a conflict."""
    sides = base or Document(NOTHING), ours, theirs
    clients = dict.fromkeys([*sides[0].clients(), *theirs.clients()])
    return [conflict for client in clients for conflict in _merge_client(client, *sides)]


def _merge_client(client: str, base: Document, ours: Document, theirs: Document) -> list[str]:
    in_base, in_ours, in_theirs = (each.has_client(client) for each in (base, ours, theirs))
    if in_ours and in_theirs:
        return [*_merge_ids(client, base, ours, theirs), *_merge_values(client, base, ours, theirs)]
    if in_theirs and not in_base:
        ours.add_client(client, theirs.ids(client))
        return _merge_values(client, base, ours, theirs)
    if in_theirs:
        return [f"client {client}: removed here, changed there"] if _differs(client, base, theirs) else []
    if in_ours and _differs(client, base, ours):
        return [f"client {client}: changed here, removed there"]
    if in_ours:
        ours.remove_client(client)
    return []


def _differs(client: str, base: Document, side: Document) -> bool:
    """Whether a client is not as it was in the base."""
    old, new = _values(base, client), _values(side, client)
    return _ids(base, client).keys() != _ids(side, client).keys() or any(
        not is_same(old.get(key), new.get(key)) for key in {**old, **new}
    )


def _merge_ids(client: str, base: Document, ours: Document, theirs: Document) -> list[str]:
    old, our, their = (_ids(each, client) for each in (base, ours, theirs))
    if not old and our.keys() != their.keys():
        return [f"client {client}: added on both sides, with different ids"]
    added, dropped = their.keys() - old.keys() - our.keys(), (old.keys() - their.keys()) & our.keys()
    if dropped and not added and dropped == our.keys():
        return [f"client {client}: each side took away another id, and none would be left"]
    for id_text in sorted(added):
        ours.add_id(client, id_text)
    for id_text in sorted(dropped):
        ours.drop_id(client, our[id_text])
    return []


def _merge_values(client: str, base: Document, ours: Document, theirs: Document) -> list[str]:
    olds, here, there = (_values(each, client) for each in (base, ours, theirs))
    conflicts = []
    for key in dict.fromkeys([*olds, *there]):
        old, our, their = olds.get(key), here.get(key), there.get(key)
        if is_same(their, old) or is_same(their, our):
            continue
        if not is_same(our, old):
            conflicts.append(f"{client}.{format_key(key)}: {_what_happened(old, our, their)}")
        elif their is None:
            ours.unset(client, key)
        else:
            ours.set(client, key, their)
    return conflicts


def _what_happened(old: Value | None, our: Value | None, their: Value | None) -> str:
    if our is None:
        return "removed here, changed there"
    if their is None:
        return "changed here, removed there"
    return "added on both sides, with different values" if old is None else "changed on both sides"


def _ids(document: Document, client: str) -> dict[str, str]:
    """Return the ids of a client in their one form, each with the form in which the definition has it."""
    written = document.ids(client) if document.has_client(client) else []
    return {format_id(parse_id(each)): each for each in written}


def _values(document: Document, client: str) -> dict[str, Value]:
    return document.values(client) if document.has_client(client) else {}
