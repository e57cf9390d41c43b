"""Definitions: what is taken, and the exact words of every refusal. The cases of docs/definition.md run here."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coffer.codec import encode
from coffer.definition import _SYNTAX, LIMIT_BYTES, Definition, parse
from coffer.errors import DefinitionError, Finding
from coffer.identity import format_id
from coffer.message import SHARD_LIMIT_BYTES
from coffer.shard import format_value, kind_of

VECTORS = Path(__file__).with_name("vectors")
GUIDE = Path(__file__).parents[1] / "docs" / "definition.md"
CANARY = "canary-7f3a"


def public_key(seed: int) -> bytes:
    return hashlib.blake2b(str(seed).encode(), digest_size=31).digest() + b"\x01"


IDS = [format_id(public_key(seed)) for seed in range(6)]
A, B, C, SERVER, COMPANION, _ = IDS
BAD_SUM = A[:-1] + ("A" if A[-1] != "A" else "B")


KEYS: Any = {"server": public_key(3), "companion": public_key(4)}


def check(text: str | bytes, limit_bytes: int = LIMIT_BYTES) -> Definition:
    return parse(text, source="d.toml", limit_bytes=limit_bytes, **KEYS)


def refusal(text: str | bytes, limit_bytes: int = LIMIT_BYTES) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        check(text, limit_bytes)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


GOOD = f"""
# a comment
[clients]
web = "{A.lower().replace("-", " ")}"
bin = ["{B}", "{C}"]

[bin]
retries = 3
"a.b" = true

[web]
PASSWORD = "hunter2 "
"""


def test_a_definition_gives_each_client_its_ids_and_its_shard_in_the_order_of_the_file() -> None:
    clients = check(GOOD).clients
    assert list(clients) == ["web", "bin"]
    assert [client.name for client in clients.values()] == ["web", "bin"]
    assert clients["web"].ids == (public_key(0),)
    assert clients["bin"].ids == (public_key(1), public_key(2))
    assert list(clients["bin"].shard.items()) == [("retries", 3), ("a.b", True)]
    assert clients["web"].encoded == encode({"PASSWORD": "hunter2 "})


def test_a_client_without_a_table_or_with_an_empty_one_gets_the_empty_shard() -> None:
    clients = check(f'[clients]\nweb = "{A}"\nbin = "{B}"\n[bin]\n').clients
    assert [client.encoded for client in clients.values()] == [b"\x80", b"\x80"]


def test_a_definition_may_have_no_clients_yet() -> None:
    assert check("[clients]\n").clients == {}


def test_text_and_bytes_and_line_ends_of_windows_mean_the_same() -> None:
    expected = {name: client.encoded for name, client in check(GOOD).clients.items()}
    for text in (GOOD.encode(), GOOD.replace("\n", "\r\n"), GOOD.replace("\n", "\r\n").encode()):
        assert {name: client.encoded for name, client in check(text).clients.items()} == expected


def test_the_definition_in_the_vectors_is_taken() -> None:
    vector = json.loads((VECTORS / "definition.json").read_text())
    server, companion = bytes.fromhex(vector["S"]), bytes.fromhex(vector["K"])
    clients = parse(vector["definition"], source="vector", server=server, companion=companion).clients
    assert clients["web"].shard == {"password": "hunter2", "port": 5432}


@pytest.mark.parametrize("case", json.loads((VECTORS / "response.json").read_text())["cases"], ids=str)
def test_each_kind_of_value_reaches_the_response_as_the_vectors_have_it(case: dict[str, str]) -> None:
    clients = check(f'[clients]\nweb = "{A}"\n[web]\n{case["toml"]}\n').clients
    assert clients["web"].encoded.hex() == case["response"]


def test_the_longest_name_and_the_largest_shard_are_taken() -> None:
    name = "Az09_-" + "x" * 58
    clients = check(f'[clients]\n{name} = "{A}"\n[{name}]\na = "{"x" * (SHARD_LIMIT_BYTES - 17)}"\n').clients
    assert len(clients[name].encoded) == SHARD_LIMIT_BYTES


def test_a_nul_in_a_value_is_allowed() -> None:
    assert check(f'[clients]\nweb = "{A}"\n[web]\na = "x\\u0000"\n').clients["web"].shard == {"a": "x\0"}


def test_nothing_of_a_definition_prints_or_pickles_its_values() -> None:
    definition = check(f'[clients]\nweb = "{A}"\n[web]\na = "{CANARY}"\n')
    client = definition.clients["web"]
    assert [repr(definition), repr(client)] == ["<Definition of 1 client>", "<Client web>"]
    with pytest.raises(TypeError):
        pickle.dumps(client)


ONE = f'[clients]\nweb = "{A}"\n[web]\n'

# A definition, then each of its findings: line, column, and the text after "d.toml: ".
REFUSED: list[tuple[str | bytes, list[tuple[int | None, int | None, str]]]] = [
    ("", [(None, None, "no table [clients]")]),
    ("[web]\na = 1\n", [(None, None, "no table [clients]")]),
    ("[[clients]]\n", [(1, 1, "[clients]: an array of tables")]),
    (f"a = 1\n{ONE}", [(1, 1, "a: a key before the first table")]),
    (f"{ONE}[[bin]]\n", [(4, 1, "[bin]: no client of that name in [clients]"), (4, 1, "[bin]: an array of tables")]),
    (f"{ONE}[bin]\n", [(4, 1, "[bin]: no client of that name in [clients]")]),
    (f'{ONE}["b\\nn"]\n', [(4, 1, "['b\\nn']: no client of that name in [clients]")]),
    (f'[clients]\nclients = "{A}"\n', [(2, 1, "[clients] clients: no client may have this name")]),
    (
        f'[clients]\n"we b" = "{A}"\n',
        [(2, 1, "[clients] 'we b': a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -")],
    ),
    (
        f'[clients]\n"" = "{A}"\n',
        [(2, 1, "[clients] '': a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -")],
    ),
    (
        f'[clients]\n{"x" * 65} = "{A}"\n',
        [(2, 1, f"[clients] {'x' * 65}: a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -")],
    ),
    ("[clients]\nweb = 3\n", [(2, 1, "[clients] web: an integer where an id belongs")]),
    (f'[clients]\nweb.a = "{A}"\n', [(2, 1, "[clients] web: a table where an id belongs")]),
    (f'[clients]\nweb = ["{A}", true]\n', [(2, 1, "[clients] web: id 2: a boolean where an id belongs")]),
    ("[clients]\nweb = []\n", [(2, 1, "[clients] web: an empty list of ids")]),
    ('[clients]\nweb = ""\n', [(2, 1, "[clients] web: an id has 56 letters, this has 0")]),
    (
        f'[clients]\nweb = "{BAD_SUM}"\n',
        [(2, 1, "[clients] web: wrong checksum: a letter of the id is mistyped")],
    ),
    (
        f'[clients]\nweb = ["{A}", "{BAD_SUM}"]\n',
        [(2, 1, "[clients] web: id 2: wrong checksum: a letter of the id is mistyped")],
    ),
    (f'[clients]\nweb = ["{A}", "{A}"]\n', [(2, 1, "[clients] web: id 2: an id listed twice")]),
    (
        f'[clients]\nweb = "{A}"\nbin = "{A}"\nc = "{A}"\n',
        [
            (3, 1, "[clients] bin: the id of client 'web' too"),
            (4, 1, "[clients] c: the id of client 'web' too"),
        ],
    ),
    (f'[clients]\nweb = "{SERVER}"\n', [(2, 1, "[clients] web: the id of the server")]),
    (f'[clients]\nweb = ["{A}", "{COMPANION}"]\n', [(2, 1, "[clients] web: id 2: the id of the companion")]),
    (f"{ONE}a = 9223372036854775808\n", [(4, 1, "[web] a: an integer outside 64 bits")]),
    (f"{ONE}a = -9223372036854775809\n", [(4, 1, "[web] a: an integer outside 64 bits")]),
    (f"{ONE}a = 0x{'f' * 9999}\n", [(4, 1, "[web] a: an integer outside 64 bits")]),
    (f"{ONE}b = 1\na = {'9' * 9999}\n", [(5, 1, "[web] a: an integer outside 64 bits")]),
    (f'{ONE}"" = 1\n', [(4, 1, "[web] '': an empty key")]),
    (f'{ONE}"a\\u0000b" = 1\n', [(4, 1, "[web] 'a\\x00b': a key that holds a NUL")]),
    (f"{ONE}  a = [1]\n", [(4, 3, "[web] a: an array is not a value")]),
    (f"{ONE}a = {{ b = 1 }}\n", [(4, 1, "[web] a: a table is not a value")]),
    (f"{ONE}a.b = 1\n", [(4, 1, "[web] a: a table is not a value")]),
    (f"{ONE}[web.a]\nb = 1\n", [(4, 1, "[web] a: a table is not a value")]),
    (f"{ONE}[[web.a]]\nb = 1\n", [(4, 1, "[web] a: an array is not a value")]),
    (f"{ONE}a = {'[' * 100}{']' * 100}\n", [(4, 1, "[web] a: an array is not a value")]),
    (
        f'{ONE}a = "{"x" * (SHARD_LIMIT_BYTES - 16)}"\n',
        [(3, 1, "[web]: 65,280 bytes of CBOR, 1 over the limit of 65,279")],
    ),
    (b"\xef\xbb\xbf[clients]\n", [(1, 1, "line 1, column 1: a byte order mark")]),
    ("\ufeff[clients]\n", [(1, 1, "line 1, column 1: a byte order mark")]),
    (b'[clients]\n# \xc3\xa9\xe9"\n', [(2, 4, "line 2, column 4: not UTF-8")]),
    ("[clients]\n# \ud800\n", [(2, 3, "line 2, column 3: not UTF-8")]),
    ("[clients]\n".encode("utf-16"), [(1, 1, "line 1, column 1: not UTF-8")]),
    (f"{ONE}a = {'[' * 10_000}\n", [(None, None, "arrays, tables or dotted keys nested hundreds deep")]),
    (f"{ONE}{'a.' * 10_000}b = 1\n", [(None, None, "arrays, tables or dotted keys nested hundreds deep")]),
]
SYNTAX = [
    ("[web]\n", "line 4, column 5: a table that comes twice"),
    ("a.b = 1\n[web.a]\n", "line 5, column 7: a table that comes twice"),
    ("[web.c.d]\n[web]\nc.e = 1\n", "line 5, column 5: a table that comes twice"),
    ("a = {}\na.b = 1\n", "line 5, column 8: an array or inline table that is added to later"),
    ("a = 1\na = 2\n", "line 5, column 6: a key that comes twice"),
    ("a = {b = 1, b = 2}\n", "line 4, column 18: a key that comes twice"),
    ('a = "\\ud800"\n', "line 4, column 12: an escape that stands for no character"),
    ("[api\n", "line 4, column 5: a table header that is not closed"),
    ("[[web.x]\n", "line 4, column 8: a table header that is not closed"),
    ("a\n", "line 4, column 2: a key without a value"),
    ("a = 'x\n", "line 5, column 1: a string that is not closed"),
    ("a = 'x\nb = 'y'\n", "line 4, column 7: a control character, or a string that is not closed on its line"),
    ("a = '''x\n", "line 5, column 1: a string that is not closed"),
    ("a = 'x", "line 4, column 7: a string that is not closed"),
    ("a = 1 b\n", "line 4, column 7: something after the end of a value or table header"),
    ("a = 1 # \x01\n", "line 4, column 9: a control character, or a string that is not closed on its line"),
    ('a = "x\n', "line 4, column 7: a control character, or a string that is not closed on its line"),
    ("a = 1979-02-29\n", "line 4, column 5: a date that does not exist"),
    ('a = "\\u12"\n', "line 4, column 8: an escape without its hexadecimal digits"),
    ("a. = 1\n", "line 4, column 4: no key where one belongs"),
    ("= 1\n", "line 4, column 1: neither a table, a key nor a comment"),
    ("a = hunter2\n", "line 4, column 5: no value that TOML knows; text belongs in quotes"),
    ("a = [1\n", "line 5, column 1: an array that is not closed"),
    ("a = {b = 1\n", "line 5, column 1: an inline table that is not closed"),
    ('a = "C:\\Users"\n', "line 4, column 10: an escape without its hexadecimal digits"),
    ('a = "\\d"\n', "line 4, column 8: a backslash that escapes nothing; in single quotes it stands for itself"),
    ('a = "x', "line 4, column 7: a string that is not closed"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=[found[0][2][-40:] for _, found in REFUSED])
def test_each_refusal_has_its_place_and_its_words(
    text: str | bytes, expected: list[tuple[int | None, int | None, str]]
) -> None:
    findings = refusal(text).findings
    assert [(f.line, f.column, str(f)) for f in findings] == [(ln, col, f"d.toml: {t}") for ln, col, t in expected]


@pytest.mark.parametrize(("tail", "expected"), SYNTAX)
def test_each_mistake_in_toml_has_its_place_and_our_own_words(tail: str, expected: str) -> None:
    error = refusal(ONE + tail)
    assert str(error) == f"d.toml: {expected}"
    assert len(error.findings) == 1


def test_a_mistake_after_an_integer_too_long_to_read_is_told_alone() -> None:
    error = refusal(f"{ONE}a = {'9' * 9999}\nb = hunter2\n")
    assert [str(finding) for finding in error.findings] == [
        "d.toml: line 5, column 5: no value that TOML knows; text belongs in quotes"
    ]


def test_a_number_that_cannot_be_shortened_is_refused_and_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is known that does this: tomli, or Python, would have to change."""
    reads = []

    def loads(text: str) -> Any:
        reads.append(text)
        raise ValueError(CANARY)

    monkeypatch.setattr(tomli, "loads", loads)
    assert str(refusal(ONE)) == "d.toml: not TOML"
    assert len(reads) == 1
    reads.clear()
    assert str(refusal(f"{ONE}a = {'1' * 5000}\n")) == "d.toml: not TOML"
    assert len(reads) == 2


def test_every_message_that_tomli_has_is_known_and_none_of_its_words_are_passed_on() -> None:
    parser = Path(tomli.__file__).with_name("_parser.py").read_text()
    messages = re.findall(r'raise TOMLDecodeError\(\s*f?"(.*?)"', parser)
    assert len(messages) >= 20
    for message in messages:
        told = message.replace("{expect!r}", '"\'"').replace("\\\\", "\\")
        assert any(told.startswith(theirs) for theirs in _SYNTAX), message


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = f'a = 1\n[bin]\nb = [1]\n[clients]\nweb = "{A}"\napi = []\n[web]\n"" = 2\nc = {{}}\n'
    error = refusal(text)
    assert [f"{finding.line} {finding}" for finding in error.findings] == [
        "1 d.toml: a: a key before the first table",
        "2 d.toml: [bin]: no client of that name in [clients]",
        "3 d.toml: [bin] b: an array is not a value",
        "6 d.toml: [clients] api: an empty list of ids",
        "8 d.toml: [web] '': an empty key",
        "9 d.toml: [web] c: a table is not a value",
    ]
    assert str(error) == "d.toml: a: a key before the first table (and 5 more findings)"
    assert error.hint == "put it under the [table] of its client"


def test_two_findings_are_counted_in_words_that_agree() -> None:
    assert str(refusal(f"{ONE}a = []\nb = []\n")) == "d.toml: [web] a: an array is not a value (and 1 more finding)"


def test_a_definition_over_the_size_limit_is_refused_before_it_is_read() -> None:
    error = refusal("not toml", limit_bytes=7)
    assert str(error) == "d.toml: 8 bytes, 1 over the limit of 7"
    assert error.hint == "raise the limit with --definition-limit"
    assert str(refusal("é" * 4, limit_bytes=7)) == "d.toml: 8 bytes, 1 over the limit of 7"
    assert check("[clients]", limit_bytes=9).clients == {}
    assert LIMIT_BYTES == 64 * 1024 * 1024


def test_an_oversize_shard_is_told_with_what_remains_of_a_faulty_table() -> None:
    error = refusal(f'{ONE}a = "{"x" * SHARD_LIMIT_BYTES}"\nb = [1]\n')
    assert [finding.key for finding in error.findings] == [None, "b"]


def test_a_name_is_never_shown_at_length() -> None:
    assert str(refusal(f"{ONE}[{'x' * 500}]\n")).startswith(f"d.toml: ['{'x' * 80}'...]: no client")


SPOILT = [
    "a = CANARY",
    "a = CANARY.x",
    'a = "CANARY',
    'a = "CANARY\\d"',
    'a = "CANARY" "CANARY"',
    'a = """CANARY',
    "a = 'CANARY\x01'",
    'a = ["CANARY"]',
    'a = ["CANARY"',
    'a = {b = "CANARY"}',
    'a = {b = "CANARY", b = "CANARY"}',
    'a = "CANARY"\na = "CANARY"',
    'a = """\nCANARY\n""" CANARY',
    'a.b = "CANARY"',
    '"" = "CANARY"',
    'a = "CANARY"\n[bin]\na = "CANARY"\n[[web]]',
    'a = "' + "CANARY" * 10_000 + '"',
]


@pytest.mark.parametrize("spoilt", SPOILT)
def test_no_finding_shows_or_carries_a_value(spoilt: str) -> None:
    error = refusal(ONE + spoilt.replace("CANARY", CANARY))
    shown = [str(error), repr(error), *(f"{f} {f.hint} {f.reason}" for f in error.findings)]
    assert not any(CANARY in text for text in shown)
    assert not any(CANARY in str(getattr(error, name)) for name in vars(error) if name != "findings")


TOML_BITS = st.sampled_from(
    [*"[]{}=.,#\"'\\ \n\t-:TZ_+", "clients", "web", "a", "1", "07:32:00", "1979-05-27", "nan", "é", '"""', "'''"]
) | st.sampled_from(
    [f'"{A}"', f'"{B}"', "[clients]\n", "[web]\n", "web = ", "true", "\r\n", "\x00", "9" * 30, "\\u0000"]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(TOML_BITS, max_size=25).map("".join), st.booleans())
@example('web."a"=', True)
def test_any_text_is_taken_or_refused_with_findings(text: str, begun: bool) -> None:
    text = ONE + text if begun else text
    try:
        definition = check(text)
    except DefinitionError as error:
        assert error.findings
        assert str(error).startswith(str(error.findings[0]))
        assert "\n" not in str(error)
        return
    for client in definition.clients.values():
        assert encode(client.shard) == client.encoded
    assert list(tomli.loads(text)["clients"]) == list(definition.clients)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(raw: bytes) -> None:
    try:
        check(raw)
    except DefinitionError as error:
        assert error.findings


def test_every_finding_has_a_line_unless_it_is_about_the_whole_file() -> None:
    for text, expected in REFUSED:
        for (line, column, words), finding in zip(expected, refusal(text).findings, strict=True):
            assert (line is None) == (column is None)
            assert (line is None) <= (finding.table is None and finding.key is None), words


CASE = re.compile(r"^```toml\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
GUIDE_CASES: list[tuple[str, str]] = CASE.findall(GUIDE.read_text())


def in_words(findings: tuple[Finding, ...]) -> str:
    return "".join(f"{f}\n" + (f"hint: {f.hint}\n" if f.hint else "") for f in findings)


@pytest.mark.parametrize(("text", "shown"), GUIDE_CASES)
def test_the_guide_shows_what_you_see(text: str, shown: str) -> None:
    try:
        seen = "" if parse(text, source="definition.toml", **KEYS).clients else "nothing"
    except DefinitionError as error:
        seen = in_words(error.findings)
    assert seen == shown


@pytest.mark.parametrize("words", {words.split(": ")[-1] for _, found in REFUSED for _, _, words in found})
def test_the_guide_has_every_reason(words: str) -> None:
    assert len(GUIDE_CASES) >= 10
    assert words in GUIDE.read_text() or re.sub("[0-9]+", "56", words) in re.sub("[0-9]+", "56", GUIDE.read_text())


def test_the_table_of_types_in_the_guide_is_right() -> None:
    rows = re.findall(r"^\| (an? [a-z -]+) \| `(.+)` \| `(.+)` \|$", GUIDE.read_text(), re.MULTILINE)
    values = [tomli.loads(f"a = {toml}")["a"] for _, toml, _ in rows]
    assert [(kind_of(value), format_value(value)) for value in values] == [(kind, text) for kind, _, text in rows]
    assert len({type(value) for value in values}) == 7


def test_the_size_limit_is_shown_in_the_guide() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(b" " * (LIMIT_BYTES + 1), source="definition.toml")
    assert in_words(caught.value.findings) in GUIDE.read_text()


def test_loading_leaves_room_within_three_times_the_cpu_of_tomli() -> None:
    """All of loading may take three times what tomli alone takes (issue 5); opening and sealing come on top."""
    values = f'URL = "postgres://user:{"x" * 24}@db/app"\nKEY = "{"k" * 32}"\nPORT = 5432\nDEBUG = false\n'
    lines = [f'c{n} = "{format_id(public_key(n + 10))}"\n' for n in range(5_000)]
    text = "".join(["[clients]\n", *lines, *(f"\n[c{n}]\n{values}" for n in range(5_000))])

    def cost(call: Callable[[], object]) -> float:
        start = time.process_time()
        call()
        return time.process_time() - start

    tomli_alone = min(cost(lambda: tomli.loads(text)) for _ in range(5))
    assert min(cost(lambda: check(text)) for _ in range(5)) < 2.5 * tomli_alone
