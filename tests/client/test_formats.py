"""Every format is read back by the program it is for: sh, bash, python-dotenv, jq, and a TOML parser."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import subprocess
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import dotenv
import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.client.arguments import FORMATS as OFFERED
from coffer.client.formats import FORMATS, SHELL_NAMES, format_dotenv, format_json, format_shell, format_toml
from coffer.environment import is_reserved
from coffer.errors import OperatorError
from coffer.shard import Shard, format_value

# What quoting gets wrong, more often than chance would try it.
SNIPPETS = [
    *"'\"\\\n\r\t $!#%=*~\x01\x7f\x85é\u2028\ufeff\U0001f511",
    *("\r\n", "${", "$(id)", "`id`", " #", "\x1b[2J", "\\n", "\\'", '\\"', "EOF", "-n"),
]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
PIECES = st.sampled_from(SNIPPETS) | st.text(CHARACTERS, max_size=3)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z").filter(
    lambda name: not is_reserved(name) and name not in SHELL_NAMES and not name.startswith("COFFER_")
)
KEYS = st.text(CHARACTERS, min_size=1, max_size=8)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.dates() | st.times() | st.datetimes() | st.datetimes(timezones=OFFSETS)
VALUES = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | MOMENTS
MANY = settings(max_examples=60, deadline=None)


def texts_of(shard: Shard) -> dict[str, str]:
    return {key: format_value(value) for key, value in shard.items()}


def refusal(name: str, shard: Shard) -> tuple[str, str | None]:
    with pytest.raises(OperatorError) as caught:
        FORMATS[name](shard, ())
    return str(caught.value), caught.value.hint


# ---- shell


def read_shell(shell: str, text: str, names: list[str], tmp_path: Any) -> list[str]:
    """Source ``text`` in a real shell and return what a child of it finds in its environment."""
    file = tmp_path / "shard.sh"
    file.write_bytes(text.encode())
    done = subprocess.run(
        [shell, "-c", '. "$1" && exec env -0', "sh", str(file)], env={"PATH": "/usr/bin:/bin"}, stdout=-1, check=True
    )
    found = dict(each.decode().partition("=")[::2] for each in done.stdout.split(b"\0") if each)
    return [found[name] for name in names]


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_a_shell_reads_back_exactly_the_values(shell: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing")
    folder = tmp_path_factory.mktemp(shell)

    @MANY
    @given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=20))
    def check(values: dict[str, Any]) -> None:
        shard = Shard(values)
        assert read_shell(shell, format_shell(shard), list(shard), folder) == list(texts_of(shard).values())

    check()


def test_eval_of_the_output_sets_the_variables() -> None:
    text = format_shell(Shard({"A": "it's $HOME\n\n", "B": "`x`"}))
    done = subprocess.run(
        ["sh", "-c", 'eval "$(cat)"; printf "%s|%s|" "$A" "$B"'], input=text.encode(), stdout=-1, check=True
    )
    assert done.stdout == b"it's $HOME\n\n|`x`|"


@pytest.mark.parametrize("name", sorted(SHELL_NAMES))
def test_a_name_that_shells_keep_is_refused(name: str) -> None:
    assert refusal("shell", Shard({name: "x"})) == (
        f"{name!r}: a name that shells keep for themselves",
        "use another format",
    )


def test_every_other_name_that_bash_sets_can_be_set() -> None:
    """bash itself says which names it starts with; those that refuse or change a value must be on our list."""
    bare = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", "compgen -v"], stdout=-1, check=True, text=True, env=bare)
    for name in sorted({*done.stdout.split(), "RANDOM", "SRANDOM", "LINENO", "HISTCMD", "COMP_WORDBREAKS"}):
        script = f'export {name}=x; [ "$(printenv {name})" = x ]'
        kept = subprocess.run(["bash", "-c", script], stderr=-3, check=False, env=bare).returncode == 0
        assert kept or name in SHELL_NAMES or is_reserved(name), name


# ---- dotenv


def read_dotenv(text: str, tmp_path: Any) -> dict[str, str | None]:
    (tmp_path / ".env").write_bytes(text.encode())
    return dotenv.dotenv_values(tmp_path / ".env")


def test_python_dotenv_reads_back_exactly_the_values(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("dotenv")

    @settings(max_examples=300, deadline=None)
    @given(st.dictionaries(NAMES, VALUES, max_size=8))
    def check(values: dict[str, Any]) -> None:
        shard = Shard(values)
        if any("${" in text for text in texts_of(shard).values()):
            refusal("dotenv", shard)
        else:
            assert read_dotenv(format_dotenv(shard), folder) == texts_of(shard)

    check()


def test_what_readers_of_dotenv_replace_is_refused() -> None:
    assert refusal("dotenv", Shard({"A": "a${B}"})) == (
        "'A': its value holds ${, which readers of .env files replace",
        "use another format, or coffer-client run",
    )


@pytest.mark.parametrize("name", ["dotenv", "shell"])
@pytest.mark.parametrize("key", ["a-b", "PATH", "COFFER_KEY"])
def test_a_key_that_is_no_name_for_a_variable_is_refused(name: str, key: str) -> None:
    assert refusal(name, Shard({key: "x"}))[0].startswith(f"{key!r}: ")


# ---- json


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_a_json_parser_reads_back_exactly_the_values(values: dict[str, Any]) -> None:
    shard = Shard(values)
    if any(is_beyond_json(value) for value in values.values()):
        refusal("json", shard)
        return
    read = json.loads(format_json(shard))
    assert list(read) == list(values)
    for key, value in values.items():
        plain = value if isinstance(value, str | int | float) else format_value(value)
        assert read[key] == plain and type(read[key]) is type(plain)


def is_beyond_json(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and abs(value) >= 2**53


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is missing")
@MANY
@given(st.dictionaries(KEYS, TEXTS | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans(), min_size=1, max_size=8))
def test_jq_reads_back_exactly_the_values(values: dict[str, Any]) -> None:
    shard = Shard(values)
    done = subprocess.run(
        ["jq", "-j", '.[] | tostring, "\\u0000"'], input=format_json(shard).encode(), stdout=-1, check=True
    )
    assert done.stdout.decode().split("\0")[:-1] == list(texts_of(shard).values())


def test_what_json_cannot_hold_is_refused() -> None:
    for value in (math.inf, -math.inf, math.nan):
        assert refusal("json", Shard({"A": value})) == ("'A': JSON has no infinity and no NaN", "--format toml has")
    for number in (2**53, -(2**53), 2**63 - 1):
        assert refusal("json", Shard({"A": number})) == (
            "'A': an integer so large that many a JSON parser rounds it",
            "--format toml keeps it; or make it a string in the definition",
        )


# ---- toml


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_a_toml_parser_reads_back_every_value_with_its_type(values: dict[str, Any]) -> None:
    read = tomli.loads(format_toml(Shard(values)))
    assert list(read) == list(values)
    for key, value in values.items():
        assert type(read[key]) is type(value)
        assert repr(read[key]) == repr(value) or read[key] == value


def test_a_shard_reads_as_it_stands_in_a_definition() -> None:
    shard = Shard(
        {
            "PASSWORD": 'a"b\\c\n',
            "my key": "é\x1b",
            "port": 5432,
            "ratio": 1e-07,
            "on": False,
            "when": datetime(2026, 1, 2, 3, 4, 5, 600, UTC),
            "day": date(2026, 1, 2),
            "at": time(3, 4),
        }
    )
    assert format_toml(shard) == (
        'PASSWORD = "a\\"b\\\\c\\n"\n"my key" = "é\\U0000001B"\nport = 5432\nratio = 1e-07\non = false\n'
        "when = 2026-01-02T03:04:05.000600Z\nday = 2026-01-02\nat = 03:04:00\n"
    )


def test_nothing_that_steers_a_terminal_leaves_json_or_toml_raw() -> None:
    shard = Shard({"A\x9b": "\x1b]0;x\x07\x9b2J\u202e"})
    for name in ("json", "toml"):
        assert all(each.isprintable() or each == "\n" for each in FORMATS[name](shard, ()))


def test_the_command_line_offers_every_format() -> None:
    assert tuple(FORMATS) == OFFERED


def test_an_empty_shard_is_an_empty_text_or_object() -> None:
    assert {name: make(Shard(), ()) for name, make in FORMATS.items()} == {
        "dotenv": "",
        "json": "{}\n",
        "shell": "",
        "toml": "",
    }
    assert io.StringIO(FORMATS["dotenv"](Shard({"A": ""}), ())).read() == "A=''\n"
