"""The short way of reading ``run``'s command line: it reads what argparse reads, or leaves it to argparse."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.client.arguments import make_parser, parse
from coffer.client.cli import NAME
from coffer.client.flags import _RUN_FLAGS, read_action, read_duration, read_run

NAMES = [*_RUN_FLAGS, "--help", "--retry", "-h", "--"]
VALUES = ["x", "", "1m", "signal:HUP", "0", "2.5", "-1", "nan", "a=b", "--key", "coffer://x@y", "PATH", " ", "-"]
WORDS = (
    st.sampled_from(NAMES)
    | st.sampled_from(VALUES)
    | st.builds("=".join, st.tuples(*map(st.sampled_from, (NAMES, VALUES))))
)
LINES = st.lists(WORDS, max_size=6)
PLAIN_VALUES = {
    "--timeout": "2.5",
    "--retries": "3",
    "--watch": "30s",
    "--on-change": "signal:HUP",
    "--max-stale": "14d",
}
NEEDS = {"--max-stale": ["--cache=c"], "--offline": ["--cache=c"], "--on-change": ["--watch=1m"]}


@settings(max_examples=2000, deadline=None)
@given(LINES, st.lists(st.sampled_from(["true", "--", "-x", "--key"]), max_size=3))
def test_a_command_line_that_is_read_the_short_way_reads_the_same_the_long_way(
    flags: list[str], command: list[str]
) -> None:
    line = ["run", *flags, "--", *command]
    given = read_run(line)
    if given is not None:
        assert given == parse(line)


@pytest.mark.parametrize("name", _RUN_FLAGS)
@pytest.mark.parametrize("form", ["{0} {1}", "{0}={1}"])
def test_every_flag_of_run_is_read_the_short_way(name: str, form: str) -> None:
    flag = _RUN_FLAGS[name]
    words = form.format(name, PLAIN_VALUES.get(name, "x")).split() if flag.metavar else [name]
    line = ["run", *words, *NEEDS.get(name, []), "--", "true"]
    assert read_run(line) == parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "get",
        "run",
        "run --",
        "run true",
        "run --key",
        "run --key -- true",
        "run -h -- x",
        "run --timeout soon -- x",
        "run --key - -- x",
        "run --offline -- x",
        "run --max-stale 1d -- x",
        "run --on-change restart -- x",
        "run --watch 1m --cache c --offline -- x",
    ],
)
def test_what_is_not_plain_is_left_to_argparse(line: str) -> None:
    assert read_run(line.split()) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("30s", 30), ("5m", 300), ("12h", 43_200), ("14d", 1_209_600), ("007s", 7)]
)
def test_a_duration_has_a_unit(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "30", "0s", "-1s", "1.5h", "1w", "1 s", "\u0661s", "99999d", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*' is not a duration such as 30s, 5m, 12h or 14d$"):
        read_duration(text)


@pytest.mark.parametrize("text", ["", "signal", "signal:", "signal:SIGHUP", "signal:_BLOCK", "HUP", "signal:hup"])
def test_what_is_no_action_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*' is neither restart nor signal:NAME, as in signal:HUP$"):
        read_action(text)


def test_both_ways_know_the_same_flags() -> None:
    (verbs,) = (each for each in make_parser()._actions if each.dest == "verb")
    known = {name for action in verbs.choices["run"]._actions for name in action.option_strings}  # type: ignore[index]
    assert known == {*_RUN_FLAGS, "-h", "--help"}


def test_the_program_is_called_what_its_errors_say() -> None:
    assert shutil.which(NAME, path=str(__import__("sysconfig").get_path("scripts")))
