"""Two definitions that grew from one: what a side changed alone is taken, and what both changed is named."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer._core import Keypair
from coffer.companion.document import Document
from coffer.companion.three_way import merge
from coffer.identity import format_id
from coffer.toml import format_key, format_literal

IDS = {letter: format_id(Keypair.generate().public) for letter in "ABCD"}
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
MOMENTS = [NOON, NOON.astimezone(timezone(timedelta(hours=2)))]
KEYS = st.sampled_from(["A", "B", "c d"])
VALUES = st.sampled_from([1, True, "x", "y\nz", 1.0, 0.0, -0.0, math.nan, *MOMENTS])
TABLES = st.dictionaries(KEYS, VALUES)


def text_of(clients: dict[str, tuple[str, dict]]) -> str:
    """``{"web": ("AB", {"KEY": 1})}``: a client with its ids, by letter, and its values."""
    ids = "".join(f"{name} = {[IDS[letter] for letter in letters]!r}\n" for name, (letters, _) in clients.items())
    tables = "".join(
        f"\n[{name}]\n" + "".join(f"{format_key(key)} = {format_literal(value)}\n" for key, value in values.items())
        for name, (_, values) in clients.items()
    )
    return f"[clients]\n{ids}{tables}"


def merged(base: dict | None, ours: dict, theirs: dict) -> tuple[dict, list[str]]:
    document = Document(text_of(ours))
    conflicts = merge(Document(text_of(base)) if base is not None else None, document, Document(text_of(theirs)))
    read = tomli.loads(document.format())
    letters = {each: letter for letter, each in IDS.items()}
    clients = {}
    for name, ids in read["clients"].items():
        listed = [ids] if isinstance(ids, str) else ids
        clients[name] = "".join(sorted(letters[each] for each in listed)), read.get(name, {})
    return clients, conflicts


def same(old: object, new: object) -> bool:
    """As Python writes them, which tells apart what == does not, and one NaN not from another."""
    return repr(old) == repr(new)


@settings(deadline=None, max_examples=300)
@given(TABLES, TABLES, TABLES)
def test_every_value_is_the_one_that_changed_or_ours_and_a_conflict(base: dict, ours: dict, theirs: dict) -> None:
    result, conflicts = merged({"web": ("A", base)}, {"web": ("A", ours)}, {"web": ("A", theirs)})
    wanted, named = dict(ours), []
    for key in {**base, **ours, **theirs}:
        old, our, their = base.get(key), ours.get(key), theirs.get(key)
        if same(their, old) or same(their, our):
            continue
        if not same(our, old):
            named.append(key)
        elif their is None:
            del wanted[key]
        else:
            wanted[key] = their
    assert repr(sorted(result["web"][1].items())) == repr(sorted(wanted.items()))
    assert sorted(each.split(":")[0] for each in conflicts) == sorted(f"web.{format_key(key)}" for key in named)


WEB = ("A", {"K": 1})
API = ("B", {"K": 2})


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result", "conflicts"),
    [
        # a client that one side added or removed
        ({"web": WEB}, {"web": WEB}, {"web": WEB, "api": API}, {"web": WEB, "api": API}, []),
        ({"web": WEB, "api": API}, {"web": WEB, "api": API}, {"web": WEB}, {"web": WEB}, []),
        ({"web": WEB, "api": API}, {"web": WEB}, {"web": WEB, "api": API}, {"web": WEB}, []),
        ({"web": WEB, "api": API}, {"web": WEB}, {"web": WEB}, {"web": WEB}, []),
        # both added it
        ({}, {"api": API}, {"api": API}, {"api": API}, []),
        (None, {"api": API}, {"api": ("B", {"K": 2, "L": 3})}, {"api": ("B", {"K": 2, "L": 3})}, []),
        ({}, {"api": API}, {"api": ("C", {"K": 2})}, {"api": API},
         ["client api: added on both sides, with different ids"]),
        ({}, {"api": API}, {"api": ("B", {"K": 9})}, {"api": API},
         ["api.K: added on both sides, with different values"]),
        # one side removed what the other changed
        ({"web": WEB, "api": API}, {"web": WEB, "api": ("B", {"K": 3})}, {"web": WEB},
         {"web": WEB, "api": ("B", {"K": 3})}, ["client api: changed here, removed there"]),
        ({"web": WEB, "api": API}, {"web": WEB}, {"web": WEB, "api": ("BC", {"K": 2})}, {"web": WEB},
         ["client api: removed here, changed there"]),
        ({"web": WEB}, {"web": ("A", {"K": 5})}, {"web": ("A", {})}, {"web": ("A", {"K": 5})},
         ["web.K: changed here, removed there"]),
        ({"web": WEB}, {"web": ("A", {})}, {"web": ("A", {"K": 5})}, {"web": ("A", {})},
         ["web.K: removed here, changed there"]),
        ({"web": WEB}, {"web": ("A", {"K": 4})}, {"web": ("A", {"K": 5})}, {"web": ("A", {"K": 4})},
         ["web.K: changed on both sides"]),
        # ids
        ({"web": WEB}, {"web": ("AB", {"K": 1})}, {"web": ("AC", {"K": 1})}, {"web": ("ABC", {"K": 1})}, []),
        ({"web": WEB}, {"web": WEB}, {"web": ("B", {"K": 1})}, {"web": ("B", {"K": 1})}, []),
        ({"web": ("AB", {})}, {"web": ("A", {})}, {"web": ("ABC", {})}, {"web": ("AC", {})}, []),
        ({"web": ("AB", {})}, {"web": ("ABC", {})}, {"web": ("B", {})}, {"web": ("BC", {})}, []),
        ({"web": ("AB", {})}, {"web": ("A", {})}, {"web": ("B", {})}, {"web": ("A", {})},
         ["client web: each side took away another id, and none would be left"]),
    ],
)  # fmt: skip
def test_clients_and_ids_are_merged_as_people_would(base, ours, theirs, result, conflicts) -> None:
    assert merged(base, ours, theirs) == (result, conflicts)


def test_our_comments_and_order_stay() -> None:
    base = text_of({"web": WEB})
    ours = base.replace("[web]\n", "# mine\n[web]\n# first\n")
    document = Document(ours)
    assert not merge(Document(base), document, Document(base + "L = 2\n"))
    assert document.format() == ours + "L = 2\n"
