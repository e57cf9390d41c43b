"""What README and docs show in a terminal is what happens there, and every --help is shown."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import transcript

from coffer.client.arguments import make_parser as make_client_parser
from coffer.companion.cli import parser as make_companion_parser
from coffer.server.cli import reload_parser, serve_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_there_are_pages_with_transcripts() -> None:
    assert len(PAGES) > 3
    assert sum(len(list(transcript.steps(page.read_text()))) for page in PAGES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_transcript_shows_what_happens(page: Path, tmp_path: Path) -> None:
    found = [
        f"{page.name}:{step.line}: $ {step.command}"
        + "".join(difflib.ndiff((step.shown or "").splitlines(True), printed.splitlines(True)))
        for step, printed in transcript.replay(page.read_text(), tmp_path)
        # From 3.13 on argparse words its help otherwise.
        if sys.version_info < (3, 13) or "--help" not in step.command
    ]
    assert not found, "\n".join(found)


def command_lines(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in dict.fromkeys(action.choices.values()):
                yield from command_lines(verb)


PARSERS = {
    parser.prog: parser
    for top in (serve_parser(), reload_parser(), make_client_parser(), make_companion_parser())
    for parser in command_lines(top)
}


@pytest.mark.parametrize("prog", PARSERS)
def test_every_help_stands_in_the_docs(prog: str) -> None:
    """That it is the real one is for the replay to find."""
    commands = {step.command.strip() for page in PAGES for step in transcript.steps(page.read_text())}
    assert f"{prog} --help" in commands, f"no page of docs/ shows what {prog} --help prints"


@pytest.mark.parametrize(
    ("page", "holds"),
    [
        ("$ echo one; echo two >&2\none\ntwo\n", True),
        ("$ echo one\ntwo\n", False),
        ("$ echo one; echo two; echo three\n...\nthree\n", True),
        ("$ echo 'sealed 123 bytes'\nsealed … bytes\n", True),
        ("$ echo 'took 12.5 ms'\ntook 9 ms\n", True),
        ("$ (sleep 0.2; echo late) &\nlate\n", True),
        ("$ cat <<END\n> a\n> END\na\n", True),
        ("$ export A=1\n$ echo $A\n1\n", True),
        ("$ false; echo $?\n0\n", False),
        ("$ cat\n", True),
    ],
)
def test_the_replayer_tells_what_holds_from_what_does_not(page: str, holds: bool, tmp_path: Path) -> None:
    assert (not list(transcript.replay(f"```console\n{page}```\n", tmp_path))) is holds


def test_an_id_of_a_page_stands_for_one_real_id(tmp_path: Path) -> None:
    one, two = ("-".join([letter * 4] * 14) for letter in "AB")
    keygen = "coffer-companion keygen -o {0}.key 2>/dev/null"
    shown = f"```console\n$ {keygen.format('a')}\n{one}\n$ {keygen.format('b')}\n{two}\n"
    same = "$ coffer-companion id a.key\n{0}\n$ test {0} = $(coffer-companion id a.key) || echo differs\n```\n"
    (tmp_path / "right").mkdir(), (tmp_path / "wrong").mkdir()
    assert not list(transcript.replay(shown + same.format(one), tmp_path / "right"))
    assert len(list(transcript.replay(shown + same.format(two), tmp_path / "wrong"))) == 2
