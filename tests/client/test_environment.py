"""What an environment can take of a shard, and what the command's holds besides."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.client.environment import add, inherit
from coffer.environment import RESERVED, RESERVED_PREFIXES, is_name, is_reserved
from coffer.errors import OperatorError
from coffer.shard import Shard

NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]*\Z").filter(
    lambda name: not is_reserved(name) and name[:7] != "COFFER_"
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def refusal(shard: Shard, **options: object) -> tuple[str, str | None]:
    with pytest.raises(OperatorError) as caught:
        shard.environ(**options)  # type: ignore[arg-type]
    return str(caught.value), caught.value.hint


def test_numbers_booleans_and_dates_have_their_toml_form() -> None:
    from datetime import UTC, date, datetime

    shard = Shard(
        {"A": 3, "B": -0.5, "C": True, "D": date(2026, 1, 2), "E": datetime(2026, 1, 2, tzinfo=UTC), "F": " x\n"}
    )
    assert shard.environ() == {
        "A": "3",
        "B": "-0.5",
        "C": "true",
        "D": "2026-01-02",
        "E": "2026-01-02T00:00:00Z",
        "F": " x\n",
    }


@given(st.dictionaries(NAMES, TEXTS))
def test_text_stays_as_it_is(values: dict[str, str]) -> None:
    assert Shard(values).environ() == values


@pytest.mark.parametrize("key", ["a.b", "a-b", "1A", "A B", "É", "A=", "ﬁ", "a\n"])
def test_a_key_that_is_no_name_is_an_error_that_names_it(key: str) -> None:
    assert refusal(Shard({"OK": "1", key: "secret"})) == (
        f"{key!r}: no name for an environment variable",
        "a name has letters, digits and _ only, and does not begin with a digit; --only leaves others out",
    )


def test_a_value_with_a_nul_is_an_error_that_names_its_key() -> None:
    assert refusal(Shard({"A": "x\0y"})) == (
        "'A': its value holds a NUL, which no environment variable can",
        "run --only and get NAME leave it out; run --files hands values over as files",
    )


@pytest.mark.parametrize("name", [*sorted(RESERVED), *(prefix + "X" for prefix in RESERVED_PREFIXES)])
def test_a_reserved_name_is_an_error_that_names_the_flag_which_allows_it(name: str) -> None:
    assert refusal(Shard({name: "x"})) == (
        f"{name!r}: a reserved name, which changes what a command does",
        f"--allow-reserved {name}",
    )
    assert Shard({name: "x"}).environ(allow_reserved=[name]) == {name: "x"}


def test_the_reserved_names_are_those_of_the_documentation() -> None:
    wanted = "PATH HOME SHELL USER LOGNAME IFS ENV BASH_ENV PS4 NODE_OPTIONS JAVA_TOOL_OPTIONS"
    assert sorted(wanted.split()) == sorted(RESERVED)
    assert RESERVED_PREFIXES == ("LD_", "DYLD_", "PYTHON", "PERL5", "RUBY", "GIT_")


def test_the_settings_of_coffer_are_refused_whatever_is_allowed() -> None:
    assert refusal(Shard({"COFFER_KEY": "x"}), allow_reserved=["COFFER_KEY"]) == (
        "'COFFER_KEY': COFFER_* is coffer's own, and never reaches a command",
        None,
    )


def test_a_prefix_is_part_of_the_name_that_is_judged() -> None:
    assert Shard({"PATH": "x", "1": "y"}).environ(prefix="APP_") == {"APP_PATH": "x", "APP_1": "y"}
    assert (
        refusal(Shard({"PRELOAD": "x"}), prefix="LD_")[0]
        == "'LD_PRELOAD': a reserved name, which changes what a command does"
    )


def test_a_name_is_what_shells_take_for_one() -> None:
    assert [is_name(each) for each in ("_", "A1", "a_B", "", "1", "ä", "A-B")] == [True] * 3 + [False] * 4


def test_coffers_settings_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_SERVER", "x")
    monkeypatch.setenv("COFFEE", "y")
    kept = inherit()
    assert b"COFFER_SERVER" not in kept and kept[b"COFFEE"] == b"y"


def test_a_secret_takes_the_place_of_an_inherited_variable_byte_for_byte() -> None:
    assert add({b"A": b"old", b"B": b"\xff"}, {"A": "née"}) == {b"A": "née".encode(), b"B": b"\xff"}


@pytest.mark.parametrize(
    "before", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}, {"LANG": "C", "X": "a=b"}]
)
def test_the_locale_that_python_makes_up_is_taken_back(before: dict[str, str]) -> None:
    show = (
        "from coffer.client.environment import inherit; import sys; sys.stdout.buffer.write(repr(inherit()).encode())"
    )
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", show], env=before | path, capture_output=True, check=True)
    assert done.stdout.decode() == repr({name.encode(): value.encode() for name, value in (before | path).items()})
