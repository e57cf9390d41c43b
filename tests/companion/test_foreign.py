"""The files of other programs: what is taken is what those programs read, and what they do not agree on is refused."""

from __future__ import annotations

import io
import math
from datetime import UTC, date, datetime, timedelta, timezone

import dotenv
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.client.formats import format_dotenv, format_json, format_toml
from coffer.companion.dotenv import parse_dotenv
from coffer.companion.foreign import READERS
from coffer.errors import DefinitionError, OperatorError
from coffer.shard import Shard

BEYOND_JSON = "None: None: JSON, but with NaN, Infinity, or numbers or nesting beyond measure"
CANARY = "canary7f3a"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text(
    st.sampled_from("aB'\"\\# \n\r\t$={}é"), max_size=8
)
NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,5}\Z").map(lambda name: f"X{name}")
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
MOMENTS = st.dates() | st.times() | st.datetimes() | st.datetimes(timezones=st.just(timezone(timedelta(hours=-5))))


def read(kind: str, text: str):
    return READERS[kind](text, "f")


def refusals(kind: str, text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read(kind, text)
    assert not [each for each in caught.value.findings if CANARY in f"{each} {each.hint}"]
    return [f"{each.line}: {each.key}: {each.reason}" for each in caught.value.findings]


# ---- what coffer-client prints comes back


@settings(deadline=None)
@given(st.dictionaries(NAMES, TEXTS.filter(lambda text: "${" not in text and "\0" not in text)))
def test_what_the_client_prints_as_dotenv_is_imported_as_the_same(values: dict[str, str]) -> None:
    assert read("dotenv", format_dotenv(Shard(values))) == values


@settings(deadline=None)
@given(st.dictionaries(TEXTS.filter(lambda text: text and "\0" not in text), TEXTS | NUMBERS))
def test_what_the_client_prints_as_json_is_imported_as_the_same(values: dict) -> None:
    imported = read("json", format_json(Shard(values)))
    assert imported == values
    assert [type(value) for value in imported.values()] == [type(value) for value in values.values()]


@settings(deadline=None)
@given(st.dictionaries(TEXTS.filter(lambda text: text and "\0" not in text), TEXTS | NUMBERS | MOMENTS))
def test_what_the_client_prints_as_toml_is_imported_as_the_same(values: dict) -> None:
    assert read("toml", format_toml(Shard(values))) == values


# ---- .env

LINES = st.lists(
    st.sampled_from(
        [
            "A=x", "B = y # c", "export C='a b'", 'D="a\\nb"', "E=", "F=''", "# note", "", "   ", "G=it's", 'H=a"b"',
            "I=a#b", "J=a  #b", "K='a\nb'", 'L="q\\"q" # c', "M='q\\'q'", "N=\\n", "  O=lead", "P=a b  ", "'Q'=x",
            "R=$HOME", "S='${X}'", "T.u-v=1", "U='#'", "V='\\\\'", 'W="\\t\\\\"', "X=a=b",
        ]
    ),
    unique=True,
)  # fmt: skip


@settings(deadline=None)
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_dotenv_file_means_what_it_means_to_python_dotenv(lines: list[str], newline: str, ends: bool) -> None:
    text = newline.join(lines) + (newline if ends else "")
    theirs = dotenv.dotenv_values(stream=io.StringIO(text, newline=None), interpolate=False)
    assert parse_dotenv(text, "f") == theirs


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (f"\nA {CANARY}", "2: None: not NAME=value"),
        ("=x", "1: None: not NAME=value"),
        (f"A='{CANARY}", "1: A: a quote that is not closed, or something after it"),
        (f'A="{CANARY}" x', "1: A: a quote that is not closed, or something after it"),
        ("A=1\nA=2", "2: A: comes twice"),
        (f"A=${{{CANARY}}}", "1: A: holds ${, where readers put another variable"),
        (f'A="${{{CANARY}}}"', "1: A: holds ${, where readers put another variable"),
        ("A= # x", "1: A: begins with #, which is a comment to some readers"),
    ],
)
def test_what_a_dotenv_file_must_not_say_is_refused_with_its_line(text: str, refusal: str) -> None:
    assert refusals("dotenv", text) == [refusal]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert [each.split(":")[0] for each in refusals("dotenv", "A\nB=1\n'\nC=${X}\nB=2\n")] == ["1", "3", "4", "5"]


def test_the_message_says_the_first_of_it_and_how_much_more_there_is() -> None:
    with pytest.raises(DefinitionError) as caught:
        read("json", '{"A": null, "B": [], "C": {}}')
    assert str(caught.value) == "f: A: null is not a value (and 2 more findings)"
    assert caught.value.hint == 'write "" if it is empty on purpose'


# ---- JSON, TOML, YAML


@pytest.mark.parametrize(
    ("kind", "text", "place", "cause"),
    [
        ("json", "", (1, 1), "no value that JSON knows"),
        ("json", f'{{\n"A": {CANARY}}}', (2, 6), "no value that JSON knows"),
        ("json", f'{{"A": "x" {CANARY}}}', (1, 11), "neither a comma nor the end where one of them belongs"),
        ("json", f'{{"A" {CANARY}}}', (1, 6), "a name without a colon after it"),
        ("json", f'{{\n  {CANARY}: 1}}', (2, 3), "no name in double quotes where one belongs"),
        ("json", f"{{}} {CANARY}", (1, 4), "something after the end of the JSON"),
        ("json", f'{{"A": "\\q{CANARY}"}}', (1, 8), "a backslash that escapes nothing"),
        ("json", f'{{"A": "\\u1{CANARY}"}}', (1, 9), "an escape without its hexadecimal digits"),
        ("json", f'{{"A": "\n{CANARY}"}}', (1, 8), "a control character, or a string that is not closed on its line"),
        ("json", f'{{"A": "{CANARY}', (1, 7), "a string that is not closed"),
        ("json", "\ufeff{}", (1, 1), "a byte order mark"),
        ("toml", f"A = 1\nB = {CANARY}", (2, 5), "no value that TOML knows; text belongs in quotes"),
        ("toml", f'A = "{CANARY}', (1, 16), "a string that is not closed"),
        ("toml", "A = 1\nA = 2", (2, 6), "a key that comes twice"),
    ],
)
def test_where_and_why_a_text_cannot_be_read_is_told(kind: str, text: str, place: tuple[int, int], cause: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read(kind, text)
    (finding,) = caught.value.findings
    assert ((finding.line, finding.column), finding.reason) == (place, cause)


@pytest.mark.parametrize(
    ("kind", "text", "refusal"),
    [
        ("json", "{", "1: None: no name in double quotes where one belongs"),
        ("json", "[1]", "None: None: not one JSON object of names and values"),
        ("json", f'{{"A": null, "B": ["{CANARY}"], "C": {{"x": 1}}}}', "None: A: null is not a value"),
        ("json", '{"A": 1, "A": 2}', "None: A: comes twice"),
        ("json", '{"A": 9223372036854775808}', "None: A: an integer outside 64 bits"),
        ("json", '{"": 1}', "None: : an empty key"),
        ("json", '{"A": NaN}', BEYOND_JSON),
        ("json", '{"A": 1e400}', BEYOND_JSON),
        ("json", "[" * 100_000, BEYOND_JSON),
        ("json", f'{{"A": {"1" * 5000}}}', BEYOND_JSON),
        ("toml", "A = 1\nB = x", "2: None: no value that TOML knows; text belongs in quotes"),
        ("toml", "[web]\nA = 1", "None: web: a table is not a value"),
        ("toml", "A = [1]", "None: A: an array is not a value"),
        ("toml", f"A = {'1' * 5000}", "None: None: TOML, but with numbers or nesting beyond measure"),
        ("yaml", "A: [", "1: None: not one YAML document"),
        ("yaml", "a: 1\n---\nb: 2\n", "2: None: not one YAML document"),
        ("yaml", "just text", "None: None: not one YAML mapping of names and values"),
        ("yaml", "", "None: None: not one YAML mapping of names and values"),
        ("yaml", f"A:\n  B: {CANARY}", "2: A: a mapping is not a value"),
        ("yaml", "A: [x]", "1: A: a sequence is not a value"),
        ("yaml", "A: 1\nA: 2", "2: A: comes twice"),
        ("yaml", "A:", "1: A: null is not a value"),
        ("yaml", "A: ~", "1: A: null is not a value"),
        ("yaml", "[x]: 1", "1: None: a name that is no scalar"),
        ("yaml", "A: !!binary aGk=", "1: A: a tag that coffer does not know"),
        ("yaml", "A: !x y", "1: A: a tag that coffer does not know"),
        *[("yaml", f"A: {word}", "1: A: a boolean to some readers of YAML, and text to others") for word in
          ("yes", "No", "on", "OFF")],
        *[("yaml", f"A: {word}", "1: A: a number to some readers of YAML, and another or text to others") for word in
          ("010", "0o17", "0x1f", "1:30", "1_000", "1e3", ".5", "5.", "08", ".inf", ".nan", "0b1", "+.inf")],
        ("yaml", "A: 2027-01-31 7:00:00", "1: A: a date that readers of YAML may take for text"),
    ],
)  # fmt: skip
def test_what_is_no_plain_list_of_values_is_refused(kind: str, text: str, refusal: str) -> None:
    assert refusals(kind, text)[0] == refusal


def test_yaml_is_imported_with_its_kinds() -> None:
    text = f"""\
on: "yes"
1: plain text   # comment
int: -12
float: 2.5
bool: True
text: '010'
date: 2027-01-31
moment: 2027-01-31T07:00:00Z
lines: |
  {CANARY}
    x
alias: &a same
again: *a
"""
    assert read("yaml", text) == {
        "on": "yes", "1": "plain text", "int": -12, "float": 2.5, "bool": True, "text": "010",
        "date": date(2027, 1, 31), "moment": datetime(2027, 1, 31, 7, tzinfo=UTC), "lines": f"{CANARY}\n  x\n",
        "alias": "same", "again": "same",
    }  # fmt: skip


# PyYAML writes 0E0 without quotes, for in YAML 1.1 it is text; in 1.2 it is a number, so that it is refused here.
WORDS = TEXTS.filter(lambda text: text[:1] not in tuple("+-.0123456789"))


@settings(deadline=None)
@given(st.dictionaries(WORDS.filter(lambda text: text and "\0" not in text), WORDS | NUMBERS, min_size=1))
def test_what_pyyaml_writes_is_imported_as_the_same(values: dict) -> None:
    text = yaml.safe_dump(values)
    assert read("yaml", text) == values


def test_yaml_without_pyyaml_is_one_error_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(OperatorError) as caught:
        read("yaml", "A: 1")
    assert (str(caught.value), caught.value.hint) == (
        "YAML is read with PyYAML, which is missing",
        "pip install 'coffer[yaml]'",
    )


def test_numbers_that_only_look_large_are_kept() -> None:
    assert read("json", '{"A": 1e308, "B": -9223372036854775808}') == {"A": 1e308, "B": -(2**63)}
    assert math.isinf(read("toml", "A = inf")["A"])
