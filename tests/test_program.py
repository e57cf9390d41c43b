"""However a program ends, it says so in one line, with a hint where there is one, and in its exit code."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys

import pytest

from coffer import ending, errors
from coffer.program import Parser, counted, read_size
from coffer.version import VERSION

FULL = "/dev/full"


def program(act: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``act``, the body of a function, as a program's main would."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 20} | options
    return subprocess.run([sys.executable, "-c", source(act)], **options)  # type: ignore[call-overload, no-any-return]


def source(act: str) -> str:
    lines = "\n    ".join(act.split("\n"))
    return f"""
import os, sys
from coffer import errors
from coffer.ending import run
def act():
    {lines}
    return 0
sys.exit(run("coffer-x", act))
"""


def said(act: str, **options: object) -> tuple[int, str, str]:
    done = program(act, **options)
    return done.returncode, done.stdout, done.stderr


def test_what_went_well_says_nothing() -> None:
    assert said("print('out')") == (0, "out\n", "")
    assert said("return 3") == (3, "", "")


def test_an_error_is_one_line_and_its_hint_another() -> None:
    assert said("raise errors.KeyFileError('FILE: what', 'do this')") == (
        78,
        "",
        "coffer-x: error: FILE: what\nhint: do this\n",
    )
    assert said("raise errors.FetchError('nobody')") == (69, "", "coffer-x: error: nobody\n")


def test_a_word_that_is_nearly_one_of_those_there_are_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="coffer-x")
    verbs = parser.add_subparsers(metavar="VERB", parser_class=Parser)
    for verb in ("check", "blast-radius"):
        verbs.add_parser(verb)
    hints = []
    for word in ("chek", "blast_radius", "fetch-all"):
        with pytest.raises(SystemExit):
            parser.parse_args([word])
        hints.append(capsys.readouterr().err.splitlines()[1])
    guessed = [f"hint: did you mean {verb}? All there are: coffer-x --help" for verb in ("check", "blast-radius")]
    assert hints == [*guessed, "hint: coffer-x --help"]


def test_what_had_been_printed_before_an_error_stays() -> None:
    assert said("print('out')\nraise errors.CofferError('no')") == (1, "out\n", "coffer-x: error: no\n")


EXIT_CODES = {
    "CofferError": 1,
    "MissingNameError": 1,
    "DefinitionError": 3,
    "EnvelopeError": 3,
    "FetchError": 69,
    "NoAnswerError": 69,
    "UnreachableError": 69,
    "PeerError": 76,
    "FrameError": 76,
    "CutError": 76,
    "OrderError": 76,
    "OpenError": 76,
    "RefusedError": 77,
    "OperatorError": 78,
    "SettingsError": 78,
    "KeyFileError": 78,
    "IdError": 78,
}


def test_every_kind_of_error_has_its_exit_code() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert {kind.__name__: kind.exit_code for kind in kinds} == EXIT_CODES
    assert all(issubclass(kind, errors.CofferError) for kind in kinds)


def test_a_message_cannot_steer_the_terminal_or_forge_a_line() -> None:
    text = "a\x1b[2J\x9b1m\nhint: b\r\u202ec\ud800\N{SNOWMAN}"
    code, _, stderr = said(f"raise errors.CofferError({text!a}, {text!a})")
    shown = "a\\x1b[2J\\x9b1m\\nhint: b\\r\\u202ec\\ud800\N{SNOWMAN}"
    assert (code, stderr) == (1, f"coffer-x: error: {shown}\nhint: {shown}\n")


def test_our_own_mistake_is_a_crash() -> None:
    for mistake in ("ValueError('ours')", "OSError(2, 'ours')", "AssertionError('ours')"):
        done = program(f"raise {mistake}")
        assert done.returncode == 1 and done.stderr.startswith("Traceback") and "ours" in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for act in ("print('x')", "print('x' * 1_000_000)"):
        assert said(act, stdout=writer) == (141, None, "")
    os.close(writer)


@pytest.mark.parametrize("act", ["print('x')", "print('x' * 1_000_000)"])
def test_a_full_disk_behind_stdout_is_said_in_one_line(act: str) -> None:
    with open(FULL, "w") as full:
        assert said(act, stdout=full) == (78, None, "coffer-x: error: standard output: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_started_without_its_descriptors_ends_as_it_would(closed: str) -> None:
    lost = 78 if ">&- " in f" {closed} ".replace("2>&-", "") else 0
    for act, code in (("print('x')", lost), ("pass", 0), ("raise errors.KeyFileError('FILE: what', 'do this')", 78)):
        shell = subprocess.run(
            ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, source(act)], capture_output=True, timeout=20
        )
        assert shell.returncode == code
        assert b"Traceback" not in shell.stderr


HELP = "from coffer.program import Parser; Parser().parse_args(['--help'])"


def test_what_was_to_be_printed_is_not_lost_in_silence() -> None:
    for act in ("print('x')", "sys.stdout.buffer.write(b'x')", "print('x' * 1_000_000)", HELP):
        shell = subprocess.run(
            ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, source(act)], stderr=-1, text=True, timeout=20
        )
        assert (shell.returncode, shell.stderr) == (78, "coffer-x: error: standard output: closed\n")
    with open(FULL, "w") as full:
        told = "coffer-x: error: standard output: No space left on device\n"
        assert said(HELP, stdout=full) == (78, None, told)


def test_no_file_gets_the_number_of_a_standard_stream_that_is_closed() -> None:
    act = "opened = os.open('/dev/null', os.O_RDONLY); raise errors.CofferError(str(opened))"
    shell = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&-', sys.executable, source(act)], stderr=-1, text=True, timeout=20
    )
    assert shell.stderr == "coffer-x: error: 3\n"


def test_a_name_that_the_locale_has_no_letters_for_is_printed_all_the_same() -> None:
    shell = subprocess.run(
        [sys.executable, "-c", source("print('caf\u00e9 \u65e5')")],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, timeout=20,
    )  # fmt: skip
    assert shell.stdout == b"caf\xe9 \\u65e5\n"


def test_an_interrupt_ends_it_quietly_as_a_shell_counts() -> None:
    act = source("print('ready', flush=True)\nimport time\ntime.sleep(20)")
    with subprocess.Popen(
        [sys.executable, "-c", act], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == ending.INTERRUPTED == 130


# the command line


@pytest.fixture
def parser() -> Parser:
    made = Parser(prog="coffer-x verb")
    made.add_version()
    made.add_argument("--server", type=int)
    return made


def refused(parser: Parser, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(arguments)
    assert caught.value.code == ending.USAGE == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_wrong_command_line_looks_like_any_error(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    hint = "hint: coffer-x verb --help\n"
    assert refused(parser, capsys, "more") == f"coffer-x: error: unrecognized arguments: more\n{hint}"
    assert refused(parser, capsys, "--server") == f"coffer-x: error: argument --server: expected one argument\n{hint}"
    assert "\x1b" not in refused(parser, capsys, "\x1b[2J")


def test_a_flag_is_never_abbreviated(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(parser, capsys, "--serv", "3").startswith("coffer-x: error: unrecognized arguments: --serv 3\n")


def test_the_version_is_printed_alone(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"coffer-x verb {VERSION}\n"


def test_a_size_is_bytes_or_a_number_of_a_binary_unit() -> None:
    sizes = {"1": 1, "1000000": 1_000_000, "64MiB": 64 << 20, "64 mib": 64 << 20, "2KiB": 2048, "1024GiB": 1 << 40}
    assert {text: read_size(text) for text in sizes} == sizes
    for text in ("", "0", "0MiB", "-1", "1.5GiB", "5 MB", "64M", "1e6", "1\n", "\u0661", "9" * 5000, "1025GiB"):
        with pytest.raises(ValueError, match=r"is not a size such as|^at most 1024GiB$"):
            read_size(text)


def test_one_thing_is_one_thing() -> None:
    said = {0: "0 clients", 1: "1 client", 2: "2 clients", 1234: "1,234 clients"}
    assert {number: counted(number, "client") for number in said} == said
