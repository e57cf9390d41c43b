"""coffer-client against servers of the second implementation: no trick starts a program, and each has its exit code.

Not here: the library against the same servers, and which failures are tried again (tests/client/test_fetch.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Outcome, Run

from coffer.client import cli
from peer import client, response, trick
from peer.boxes import public
from peer.fault import Fault, Refused, Unanswered
from peer.identity import format_id, save_key
from peer.server import Conversation, Manner, Server
from peer.tricks import TRICKS

s, c = os.urandom(32), os.urandom(32)
SHARD: dict[str, response.Value] = {"PASSWORD": "canary-4711", "PORT": 5432}
RESPONSE = response.encode(SHARD)
REFUSED = json.loads((Path(__file__).parents[1] / "vectors" / "response.json").read_text())["refused"]
HARMLESS = [name for name, known in TRICKS.items() if known.conclusion is None]
SLOW = [name for name, known in TRICKS.items() if known.is_slow]
QUICK = [name for name in TRICKS if name not in HARMLESS + SLOW]
LINK_BYTES = 3 + 72
ANSWER_BYTES = LINK_BYTES + 3 + 16 + 256

NO_ANSWER, FAULT, FAILED_RUN = 69, 76, 125
CODES: dict[object, int] = {Unanswered: NO_ANSWER, Fault: FAULT, Refused: 77}
TOLD = re.compile(r"coffer-client: error: [^\n]+\nhint: [^\n]+\n")
FLAGS = ("--retries", "0", "--timeout")
VERBS = {"run": ("--", "touch", "started"), "get": ("--format", "json"), "ping": ()}

Ask = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def key(tmp_path: Path) -> str:
    save_key(tmp_path / "web.key", c)
    return str(tmp_path / "web.key")


def settings(server: Server, key: str) -> dict[str, str]:
    return {"COFFER_SERVER": f"coffer://{format_id(public(s))}@127.0.0.1:{server.port}", "COFFER_KEY": key}


@contextlib.contextmanager
def serving(manner: Manner) -> Iterator[Server]:
    with Server([s], {public(c): RESPONSE}, manner) as server:
        yield server


@pytest.fixture
def ask(run: Run, key: str) -> Ask:
    """Run coffer-client to its end: ``ask(server, "get", "5")``. A program that ``run`` starts leaves a file."""

    def ask(server: Server, verb: str, seconds: str = "5") -> Outcome:
        return run("coffer-client", verb, *FLAGS, seconds, *VERBS[verb], env=settings(server, key))

    return ask


def assert_told(outcome: Outcome, code: int) -> None:
    """One error, one hint, nothing else, and no secret in either."""
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert TOLD.fullmatch(outcome.err), outcome.err
    assert "canary" not in outcome.err and "owned\x07" not in outcome.err


def assert_nothing_started(outcome: Outcome, folder: Path) -> None:
    assert_told(outcome, FAILED_RUN)
    assert not (folder / "started").exists()


def conclusion_of_ping(server: Server, seconds: float) -> type[Fault] | None:
    """What the second implementation makes of this server if it wants no shard: most tricks come after Link."""
    try:
        client.ping(server.address, c, seconds)
    except Fault as fault:
        return next(known for known in (Unanswered, Refused, Fault) if isinstance(fault, known))
    return None


@pytest.mark.parametrize("name", QUICK)
def test_a_trick_starts_no_program_and_ends_with_its_code(name: str, ask: Ask, tmp_path: Path) -> None:
    assert_trick_fails(name, ask, tmp_path)


def test_a_server_that_lets_one_wait_starts_no_program_either(ask: Ask, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        for failed in [pool.submit(assert_trick_fails, name, ask, tmp_path, "2") for name in SLOW]:
            failed.result()


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_odd_but_whole_starts_the_program(name: str, ask: Ask, tmp_path: Path) -> None:
    with serving(TRICKS[name].manner) as server:
        assert ask(server, "run") == (0, "", "") and (tmp_path / "started").exists()
        got = ask(server, "get")
    assert (got.code, json.loads(got.out), got.err) == (0, SHARD, "")


def assert_trick_fails(name: str, ask: Ask, folder: Path, seconds: str = "5") -> None:
    known = TRICKS[name]
    with serving(known.manner) as server, ThreadPoolExecutor() as pool:
        asked = [pool.submit(ask, server, verb, seconds) for verb in VERBS]
        pinged = conclusion_of_ping(server, float(seconds))
        ran, got, ping = (each.result() for each in asked)
    assert_nothing_started(ran, folder)
    assert_told(got, CODES[known.conclusion])
    if pinged is None:
        assert (ping.code, ping.err) == (0, "")
    else:
        assert_told(ping, CODES[pinged])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["why"])
def test_a_response_that_is_none_starts_no_program(case: dict[str, str], ask: Ask, tmp_path: Path) -> None:
    with serving(trick.respond(bytes.fromhex(case["response"]))) as server, ThreadPoolExecutor() as pool:
        ran, got = pool.map(lambda verb: ask(server, verb), ("run", "get"))
    assert_nothing_started(ran, tmp_path)
    assert_told(got, FAULT)


def test_a_response_without_a_value_starts_the_program_and_is_no_fault(ask: Ask, tmp_path: Path) -> None:
    with serving(trick.respond(b"\x80")) as server:
        assert ask(server, "run") == (0, "", "") and (tmp_path / "started").exists()
        assert ask(server, "get") == (0, "{}\n", "")


@pytest.mark.parametrize("by_reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("offset", [1, 2, 3, LINK_BYTES - 1, LINK_BYTES + 1, ANSWER_BYTES - 1])
def test_half_an_answer_starts_no_program(offset: int, by_reset: bool, ask: Ask, tmp_path: Path) -> None:
    with serving(trick.cut(offset, by_reset)) as server, ThreadPoolExecutor() as pool:
        ran, got = pool.map(lambda verb: ask(server, verb), ("run", "get"))
    assert_nothing_started(ran, tmp_path)
    assert_told(got, code_of_cut(offset))


def code_of_cut(offset: int) -> int:
    return NO_ANSWER if offset < LINK_BYTES else FAULT


@pytest.fixture
def ask_here(key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Ask]:
    """The same in this process, for the many: a program that ``run`` would start fails the test."""

    def fail(path: str, *rest: object) -> None:
        raise AssertionError(f"started {path}")

    def ask_here(server: Server, verb: str, seconds: str = "5") -> Outcome:
        for name, value in settings(server, key).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["coffer-client", verb, *FLAGS, seconds, *VERBS[verb]])
        code = cli.main()
        return Outcome(code, *capsys.readouterr())

    monkeypatch.setattr(os, "execve", fail)
    yield ask_here
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which ``run`` gives back just before it starts a program
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def serving_in_turn(manners: list[Manner]) -> Iterator[Server]:
    """A server with another manner for each connection."""
    turns = iter(manners)

    def manner(talk: Conversation) -> None:
        next(turns)(talk)

    with serving(manner) as server:
        yield server


@pytest.mark.parametrize("by_reset", [False, True], ids=["end", "reset"])
def test_an_answer_cut_anywhere_is_no_shard_and_starts_nothing(by_reset: bool, ask_here: Ask) -> None:
    offsets = [at for at in range(ANSWER_BYTES) if at != LINK_BYTES or not by_reset]  # there, the reset may come first
    with serving_in_turn([trick.cut(at, by_reset) for at in offsets for _ in ("get", "run")]) as server:
        for at in offsets:
            assert_told(ask_here(server, "get"), code_of_cut(at))
            assert_told(ask_here(server, "run"), FAILED_RUN)


def test_an_answer_that_is_whole_is_a_shard(ask_here: Ask) -> None:
    with serving(trick.cut(ANSWER_BYTES)) as server:
        assert json.loads(ask_here(server, "get").out) == SHARD
        with pytest.raises(AssertionError, match=r"started .*/touch"):
            ask_here(server, "run")


@pytest.mark.parametrize(
    ("alter", "size"), [(trick.altered_link, 72), (trick.altered_ok_get, 16 + 256)], ids=["Link", "OkGet"]
)
def test_an_answer_altered_anywhere_is_no_shard_and_starts_nothing(
    alter: Callable[[int], Manner], size: int, ask_here: Ask
) -> None:
    bits = [at * 8 + at % 8 for at in range(3, 3 + size)]
    with serving_in_turn([alter(bit) for bit in bits for _ in ("get", "run")]) as server:
        for _ in bits:
            assert_told(ask_here(server, "get"), FAULT)
            assert_told(ask_here(server, "run"), FAILED_RUN)
