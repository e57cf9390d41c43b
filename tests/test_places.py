"""Where a table or key stands: checked against texts whose places are known because they were built so."""

from __future__ import annotations

import re

import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import Finding
from coffer.places import keys_before_tables, locate, place, statements, value_span

TRICKY = '''# [no] table = here
[ "a.b" . 'c' ]   # a header with spaces
key = """
[not.a.table]
other = 1 \\""" ""\\\\"""
'k"' = \'\'\'
x = [\'\'\'\'\'
list = [
  "]", # ] ' """
  [1, {a = "}", b = ']'}],
]
\ttable . "in\\nner" = { x = "#", y = 2 }   # = [
[[many]]
"" = 1979-05-27 07:32:00

[[many]]\r
last = "x"'''


def test_every_statement_of_a_tricky_text_is_found_where_it_stands() -> None:
    assert tomli.loads(TRICKY)
    places = {
        ("a.b",): (2, 1),
        ("a.b", "c"): (2, 1),
        ("many",): (13, 1),
        ("many", ""): (14, 1),
        ("many", "last"): (17, 1),
    }
    assert locate(TRICKY, [*places, ("no",), ("not",), ("x",), ("a.b", "other")]) == places


def test_a_key_is_found_whatever_strings_and_brackets_stand_before_it() -> None:
    """The same text, its first header cut to one part, so that its keys lie at a depth that is looked up."""
    text = TRICKY.replace("[ \"a.b\" . 'c' ]", "[t]")
    places = {("t", "key"): (3, 1), ("t", 'k"'): (6, 1), ("t", "list"): (8, 1), ("t", "table"): (12, 2)}
    assert locate(text, list(places)) == places


def test_the_first_of_several_statements_counts() -> None:
    assert locate("[a.x]\n[a.y]\n[a]\nb.c = 1\nb.d = 2\n", [("a",), ("a", "b")]) == {
        ("a",): (1, 1),
        ("a", "b"): (4, 1),
    }


def test_keys_before_the_first_table_are_told_each_once() -> None:
    assert keys_before_tables("\n# [x]\n [x]\na = 1\n") == []
    assert keys_before_tables("") == []
    assert keys_before_tables("# only this") == []
    assert keys_before_tables('a = "[x]"\n"b c".d = [\n[1]]\nb.e = 1\n"b c".f = 2\n[x]\ny = 1\n') == ["a", "b c", "b"]


STRINGS = st.text(st.sampled_from("a\"'\\\n#[]{}=.\té"), max_size=12)


def basic(text: str) -> str:
    """Write a one-line string, with every character escaped that needs to be."""
    return '"' + "".join(f"\\u{ord(c):04x}" if c in '"\\\n\t' else c for c in text) + '"'


SCALARS = (
    st.just("1")
    | STRINGS.map(basic)
    | STRINGS.map(lambda text: f'"""\n{basic(text)[1:-1]}"""')
    | STRINGS.map(lambda text: '"""' + re.sub('"+', '"', text.replace("\\", "\\\\")) + '"""')
    | STRINGS.map(lambda text: "'" + text.replace("'", "").replace("\n", "") + "'")
    | STRINGS.map(lambda text: "'''" + re.sub("'+", "'", text) + "'''")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # ]\n".join(items) + "\n]")
        | inner.map(lambda item: f"{{ k = {item} }}")
    ),
    max_leaves=5,
)
LINES = st.lists(st.tuples(STRINGS.map(basic), VALUES, st.sampled_from(["", " # \"' [x]", "\n\n"])), max_size=6)


@settings(deadline=None)
@given(st.dictionaries(STRINGS, LINES, max_size=4))
def test_the_place_of_every_table_and_key_is_where_it_was_written(
    tables: dict[str, list[tuple[str, str, str]]],
) -> None:
    text = ""
    places: dict[tuple[str, ...], tuple[int, int]] = {}
    for name, lines in tables.items():
        places[(name,)] = (text.count("\n") + 1, 1)
        text += f"[{basic(name)}]\n"
        for at, (key, value, tail) in enumerate(lines):
            full = f"{at}{tomli.loads(f'a = {key}')['a']}"
            places[(name, full)] = (text.count("\n") + 1, 3)
            text += f"  {basic(full)} = {value}{tail}\n"
    assert [*tomli.loads(text)] == [*tables]
    assert locate(text, set(places)) == places


@settings(deadline=None)
@given(LINES, st.booleans())
def test_a_value_begins_and_ends_where_it_was_written(lines: list[tuple[str, str, str]], ends_with_line: bool) -> None:
    text = "[t]\n" + "".join(f"{at} = {value}{tail}\n" for at, (_, value, tail) in enumerate(lines))
    text = text if ends_with_line else text[:-1]
    keys = [statement for statement in statements(text) if not statement.opens_table]
    assert [text[slice(*value_span(text, key.start))] for key in keys] == [value for _, value, _ in lines]


def test_a_scan_of_a_text_that_is_not_toml_ends() -> None:
    for text in ("[", "[a", 'a = "', "a = '''", '"""', "= 1", "[a]\n]\nb = 1", "a = [", "\0", "a\\ = 1"):
        locate(text, [("zzz",)])
        keys_before_tables(text)


def test_a_string_of_megabytes_is_skipped_in_one_go() -> None:
    text = '[a]\nb = """' + 'x\\"\n' * 1_000_000 + '"""\nc = 1\n'
    assert locate(text, [("a", "c")]) == {("a", "c"): (1_000_003, 1)}


def test_findings_get_the_place_of_what_they_are_about_and_come_in_the_order_of_the_text() -> None:
    about = [("t", "b"), (None, "top"), ("u", None), ("t", "gone"), (None, None), ("t", "a"), ("t", "b")]
    findings = [Finding("f", str(at), table=table, key=key) for at, (table, key) in enumerate(about)]
    assert [each.path for each in findings] == [("t", "b"), ("top",), ("u",), ("t", "gone"), (), ("t", "a"), ("t", "b")]
    placed = place(findings, "top = 1\n[t]\na = 1\n  b = 2\n[u]\n")
    assert [(each.reason, each.line, each.column) for each in placed] == [
        ("3", None, None),
        ("4", None, None),
        ("1", 1, 1),
        ("5", 3, 1),
        ("0", 4, 3),
        ("6", 4, 3),
        ("2", 5, 1),
    ]
