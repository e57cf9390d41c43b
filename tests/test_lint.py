"""Every rule of the advice: what it finds, where, in which words, and what it leaves alone."""

from __future__ import annotations

import pytest

from coffer import definition
from coffer._core import Keypair
from coffer.identity import format_id
from coffer.lint import NEAR_LIMIT_BYTES, RULES, lint
from coffer.message import SHARD_LIMIT_BYTES

WEB, API = (format_id(Keypair.generate().public) for _ in range(2))
CANARY = "canary-7f3a"


def advise(tables: str) -> list[str]:
    text = f'[clients]\nweb = "{WEB}"\napi = "{API}"\n{tables}'
    found = lint(definition.parse(text, source="d"), text, "d")
    assert not [each for each in found if CANARY in f"{each} {each.hint}"]
    assert all(each.rule in RULES for each in found)
    return [f"{each.line}:{each.column} {each.rule}: {str(each).removeprefix('d: ')}" for each in found]


def about(line: str) -> list[str]:
    """Advice on one line in the table of web, at line 5."""
    return advise(f"[web]\n{line}\n[api]\nA = 1\n")


REFUSED = "so that coffer-client run refuses it"


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "GIT_DIR", "NODE_OPTIONS", "IFS"])
def test_a_name_that_changes_what_a_command_does_is_told(name: str) -> None:
    assert about(f"{name} = 1") == [
        f"5:1 reserved-name: [web] {name}: a name that changes what a command does, {REFUSED}"
    ]


def test_coffers_own_names_are_told() -> None:
    assert about("COFFER_KEY = 1") == [
        "5:1 reserved-name: [web] COFFER_KEY: COFFER_* is coffer's own, and never reaches a command"
    ]


@pytest.mark.parametrize("key", ['"a b"', "a-b", '"1"', '"é"', '"a.b"'])
def test_a_key_that_no_variable_can_have_is_told(key: str) -> None:
    (found,) = about(f"{key} = 1")
    assert found.startswith("5:1 not-for-environment: [web] ")
    assert found.endswith(f": no name for an environment variable, {REFUSED}")


def test_a_value_with_a_nul_is_told() -> None:
    assert about(f'A = "{CANARY}\\u0000"') == [
        "5:1 not-for-environment: [web] A: a value with a NUL, which no environment variable can hold"
    ]


def test_names_that_differ_in_case_only_are_told() -> None:
    assert advise("[web]\nToken = 1\nTOKEN = 2\n[api]\ntoken = 3\n") == [
        "6:1 case: [web] TOKEN: differs from Token in case only"
    ]


@pytest.mark.parametrize(
    ("literal", "what"),
    [
        (f'" {CANARY}"', "begins with a blank"),
        (f'"{CANARY} "', "ends with a blank"),
        (f'"{CANARY}\\t"', "ends with a blank"),
        (f'"{CANARY}\\n"', "ends with a line end"),
        (f'"{CANARY}\\r\\n"', "ends with a blank"),
        (f'"a\\n{CANARY}\\n\\n"', "ends with a blank"),
        ('" "', "begins with a blank"),
    ],
)
def test_a_blank_that_nobody_sees_is_told(literal: str, what: str) -> None:
    assert about(f"A = {literal}") == [f"5:1 blanks: [web] A: a value that {what}"]


@pytest.mark.parametrize(
    "value",
    [
        "changeme", "CHANGE_ME", "change-me", "Change this", "replace me", "TODO", "tbd", "FIXME", "xxx", "XXXXXX",
        "****", "...", "<>", "<your token>", "${TOKEN}", "{{ token }}", "%TOKEN%", "your-api-key-here",
        "insert token here", "password", "secret", "my_secret",
    ],
)  # fmt: skip
def test_a_value_still_to_be_filled_in_is_told(value: str) -> None:
    found = [each for each in about(f"A = '{value}'") if "blanks" not in each]
    assert found == ["5:1 placeholder: [web] A: a value that looks like one still to be filled in"]


@pytest.mark.parametrize(
    "literal",
    [
        '"a password with spaces inside"', '"-----BEGIN\\nkey\\n-----END\\n"', '"xx"', '"https://example.com/<id>"',
        '"changeme-2f8a"', '"a${b}c"', '""', "0", "true", "2027-01-31",
    ],
)  # fmt: skip
def test_what_is_fine_is_left_alone(literal: str) -> None:
    assert about(f"A = {literal}") == []


def test_one_value_in_two_clients_is_told_with_the_place_of_the_other() -> None:
    assert advise(f'[web]\nTOKEN = "{CANARY}"\n[api]\nKEY = "{CANARY}"\n') == [
        "7:1 shared-value: [api] KEY: the same value as [web] TOKEN"
    ]


def test_one_value_twice_in_one_client_and_short_words_in_two_are_left_alone() -> None:
    assert (
        advise(f'[web]\nA = "{CANARY}"\nB = "{CANARY}"\nC = "info"\nD = 12345678\n[api]\nC = "info"\nD = 12345678\n')
        == []
    )


def test_a_client_without_values_is_told() -> None:
    assert advise("[web]\nA = 1\n") == ["3:1 no-values: [clients] api: a client without values"]


def test_a_definition_without_clients_is_told_once() -> None:
    text = "# begun\n[clients]\n"
    (found,) = lint(definition.parse(text, source="d"), text, "d")
    assert (found.rule, found.line, str(found)) == ("no-clients", 2, "d: [clients]: a definition without clients")


def test_a_shard_near_the_limit_is_told_with_its_size() -> None:
    (found,) = about(f'A = "{"y" * NEAR_LIMIT_BYTES}"')
    size = NEAR_LIMIT_BYTES + 17
    assert found == f"4:1 near-limit: [web]: {size:,} of at most {SHARD_LIMIT_BYTES:,} bytes"
    assert about(f'A = "{"y" * (NEAR_LIMIT_BYTES - 17)}"') == []


def test_advice_comes_in_the_order_of_the_file() -> None:
    found = advise('[api]\nB = " x"\nPATH = "x "\n[web]\nA = " x"\n')
    assert [each.split(":")[0] for each in found] == ["5", "6", "6", "8"]
