"""A definition's text, changed: what was asked for happens, and no other byte moves."""

from __future__ import annotations

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.companion.document import Document
from coffer.companion.id_list import add_id, drop_id
from coffer.errors import MissingNameError
from coffer.toml import format_key, format_literal

TEXT = '''\
# at the top

[clients]
web = "AAAA"   # the web
# about api
api = [
    "BBBB",  # old, and [odd]
    "CCCC"  # the last
]  # end

# about web

# the web's own
[web]
A = 1 # one
  B = 'two'
# not yet: C = 3

# about api's table
[api]
X = """
# no comment"""
# about db
[db]
'''.replace("[clients]\n", '[clients]\ndb = "DDDD"\n')


def changed(change) -> str:
    document = Document(TEXT)
    change(document)
    return document.format()


def without(*lines: str) -> str:
    kept = TEXT
    for line in lines:
        assert kept.count(f"{line}\n") == 1
        kept = kept.replace(f"{line}\n", "")
    return kept


def with_after(line: str, new: str) -> str:
    assert TEXT.count(f"{line}\n") == 1
    return TEXT.replace(f"{line}\n", f"{line}\n{new}\n")


def test_a_text_that_is_not_changed_comes_out_as_it_went_in() -> None:
    assert Document(TEXT).format() == TEXT


def test_a_new_value_stands_after_the_others_of_its_table_before_any_comment() -> None:
    assert changed(lambda each: each.set("web", "C", "three")) == with_after("  B = 'two'", 'C = "three"')
    assert changed(lambda each: each.set("db", "a b", True)) == TEXT + '"a b" = true\n'


def test_a_changed_value_keeps_its_place_and_its_comment() -> None:
    assert changed(lambda each: each.set("web", "A", 2.5)) == TEXT.replace("A = 1 #", "A = 2.5 #")
    assert changed(lambda each: each.set("api", "X", "")) == TEXT.replace('"""\n# no comment"""', '""')


def test_a_value_that_is_taken_away_takes_its_line_along() -> None:
    assert changed(lambda each: each.unset("web", "B")) == without("  B = 'two'")
    assert changed(lambda each: each.unset("web", "A")) == without("A = 1 # one")


def test_a_new_client_comes_last_and_has_a_table() -> None:
    wanted = TEXT.replace("]  # end\n", ']  # end\nnew = "EEEE"\n') + "\n[new]\nK = 1\n"
    assert changed(lambda each: (each.add_client("new", ["EEEE"]), each.set("new", "K", 1))) == wanted


def test_a_removed_client_takes_its_table_and_the_comment_on_it_and_no_other() -> None:
    start, end = TEXT.index("# the web's own"), TEXT.index("# about api's table")
    wanted = (TEXT[:start] + TEXT[end:]).replace('web = "AAAA"   # the web\n', "")
    assert changed(lambda each: each.remove_client("web")) == wanted
    assert changed(lambda each: each.remove_client("db")) == without('db = "DDDD"', "# about db", "[db]")


def test_a_client_that_is_added_and_removed_leaves_no_trace() -> None:
    added = changed(lambda each: each.add_client("new", ["EEEE"]))
    document = Document(added)
    document.remove_client("new")
    assert document.format() == TEXT


def test_an_id_is_added_and_dropped_with_the_comments_of_the_others_kept() -> None:
    assert changed(lambda each: each.add_id("api", "EEEE")) == TEXT.replace(
        '    "CCCC"  # the last\n', '    "CCCC",  # the last\n    "EEEE",\n'
    )
    assert changed(lambda each: each.drop_id("api", "BBBB")) == without('    "BBBB",  # old, and [odd]')
    assert changed(lambda each: each.add_id("web", "EEEE")) == TEXT.replace(
        'web = "AAAA"   #', 'web = [\n    "AAAA",\n    "EEEE",\n]   #'
    )


def test_a_text_with_the_line_ends_of_windows_keeps_them() -> None:
    document = Document(TEXT.replace("\n", "\r\n"))
    document.set("web", "C", "a\nb")
    document.add_client("new", ["EEEE"])
    assert document.format().count("\n") == document.format().count("\r\n")


def test_a_text_without_a_last_line_end_gets_one_before_anything_is_added() -> None:
    document = Document('[clients]\nweb = "AAAA"\n[web]')
    document.set("web", "A", 1)
    assert document.format() == '[clients]\nweb = "AAAA"\n[web]\nA = 1\n'


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (lambda each: each.set("wbe", "A", 1), "no client named wbe", "did you mean web?"),
        (lambda each: each.unset("web", "AA"), "web has no value named AA", "did you mean A?"),
        (lambda each: each.unset("db", "A"), "db has no value named A", "values: none"),
        (lambda each: each.remove_client("zzz"), "no client named zzz", "clients: db, web, api"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(change, message: str, hint: str) -> None:
    with pytest.raises(MissingNameError) as caught:
        changed(change)
    assert (str(caught.value), caught.value.hint) == (message, hint)


# ---- whatever the text and the changes

KEYS = st.text(st.sampled_from("aB_.'\"# \\é\n"), min_size=1, max_size=4)
VALUES = st.text(st.sampled_from("aB\"'\\#\n[]=\r "), max_size=6) | st.integers(-9, 9) | st.booleans() | st.dates()
TABLES = st.dictionaries(st.sampled_from(["web", "api", "db"]), st.dictionaries(KEYS, VALUES, max_size=4))
DECORATION = st.sampled_from(["", "\n", "# note [x] = 'y'\n", "  # indented\n\n"])
CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "unset", "remove"]), st.sampled_from(["web", "api", "db"]), KEYS, VALUES),
    max_size=6,
)


@st.composite
def texts(draw) -> str:
    comments = st.sampled_from(["", " # c"])
    text = "[clients]\n" + "".join(f"{draw(DECORATION)}{name} = '{name}'\n" for name in ("web", "api", "db"))
    for table, values in draw(TABLES).items():
        text += f"{draw(DECORATION)}[{table}]\n"
        for key, value in values.items():
            text += f"{draw(DECORATION)}{format_key(key)} = {format_literal(value)}{draw(comments)}\n"
    return text + draw(DECORATION)


@settings(deadline=None)
@given(texts(), CHANGES)
def test_after_any_changes_the_text_says_what_a_plain_dictionary_would(text: str, changes: list) -> None:
    plain, document = tomli.loads(text), Document(text)
    for what, client, key, value in changes:
        table = plain.get(client, {})
        if client not in plain["clients"]:
            continue
        if what == "set":
            plain.setdefault(client, {})[key] = value
            document.set(client, key, value)
        elif what == "unset" and key in table:
            del table[key]
            document.unset(client, key)
        elif what == "remove":
            plain.pop(client, None)
            del plain["clients"][client]
            document.remove_client(client)
    assert tomli.loads(document.format()) == plain


@settings(deadline=None)
@given(texts(), st.sampled_from(["web", "api", "db"]), KEYS, VALUES)
def test_one_changed_value_moves_no_line_but_its_own(text: str, client: str, key: str, value) -> None:
    document = Document(text)
    document.set(client, key, value)
    before, after = text.splitlines(), document.format().splitlines()
    new = f"{format_key(key)} = {format_literal(value)}".splitlines()
    start = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(before))
    tail = len(after) - start - len(new)
    if after != before and client in tomli.loads(text):
        assert tail == 0 or after[start + len(new) :] == before[len(before) - tail :]


IDS = st.lists(st.sampled_from("ABCDEFG"), min_size=1, max_size=4, unique=True)
COMMENTS = st.sampled_from(["", '  # old, "X" ]', "\n  # own line"])


@given(IDS, st.data())
def test_a_list_of_ids_however_written_gains_one_and_loses_one(ids: list[str], data) -> None:
    if len(ids) == 1 and data.draw(st.booleans()):
        literal = f'"{ids[0]}"'
    else:
        joint = data.draw(st.sampled_from([", ", ",\n    ", " ,\n\n"]))
        last = data.draw(st.sampled_from(["", ",", "\n", ",\n"]))
        quote = data.draw(st.sampled_from("\"'"))
        items = [f"{quote}{each}{quote}" for each in ids]
        comment = data.draw(COMMENTS) if "\n" in joint else ""
        literal = "[" + joint.replace("\n", f"{comment}\n", 1).join(items) + last + "]"
    assert tomli.loads(f"x = {literal}")["x"] == (ids[0] if literal.startswith('"') else ids)
    more = add_id(literal, [*ids, "Z"])
    assert tomli.loads(f"x = {more}")["x"] == [*ids, "Z"]
    less = drop_id(more, ids[0], [*ids[1:], "Z"])
    assert tomli.loads(f"x = {less}")["x"] == [*ids[1:], "Z"]
