"""The second implementation against itself, over real sockets: honest, and in every way it can be dishonest.

What it promises to do to others is only worth something if it is shown to do it.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import deed, response, trick, wire
from .boxes import public
from .client import Client, fetch, ping
from .deed import Outcome, attempt
from .deeds import DEEDS
from .fault import Fault, Refused, Unanswered
from .identity import load_key, parse_address, save_key
from .server import Manner, Server, honest
from .test_vectors import RESPONSES
from .tricks import TRICKS
from .wire import Kind

s, c = os.urandom(32), os.urandom(32)
SHARD: dict[str, response.Value] = {"password": "hunter2", "port": 5432}
RESPONSE = response.encode(SHARD)
LINK_BYTES = 3 + 72
ANSWER_BYTES = LINK_BYTES + 3 + 272
DEADLINE_SECONDS = 0.3
RESET = Outcome((), "reset")


@contextlib.contextmanager
def serving(manner: Manner = honest, seconds: float = 5.0) -> Iterator[Server]:
    with Server([s], {public(c): RESPONSE}, manner, seconds=seconds) as server:
        yield server


def conclusion(manner: Manner, seconds: float = 5.0) -> type[Fault] | None:
    """What the honest client makes of this server: the class of its fault, or None with the shard."""
    with serving(manner) as server:
        try:
            assert fetch(server.address, c, seconds) == SHARD
        except Fault as fault:
            return type(fault)
    return None


def assert_broken(concluded: type[Fault] | None) -> None:
    """An answer began and failed: neither a shard, nor silence, nor an authentic refusal."""
    assert concluded and not issubclass(concluded, Unanswered | Refused)


def outcome(act: deed.Act) -> Outcome:
    with serving() as server:
        return attempt(act, server.address, c, seconds=3.0)


def test_a_shard_arrives_whole_and_in_order() -> None:
    with serving() as server:
        assert list(fetch(server.address, c).items()) == list(SHARD.items())
        ping(server.address, c)
    assert server.outcomes == {"done": 2}


def test_the_largest_shard_arrives() -> None:
    largest = {"a": "x" * (response.LIMIT_BYTES - len(response.encode({"a": "x" * 60_000})) + 60_000)}
    data = response.encode(largest)
    assert len(data) == response.LIMIT_BYTES
    with Server([s], {}, everyone=data) as server:
        assert fetch(server.address, c) == largest


def test_a_server_in_rotation_answers_under_either_key() -> None:
    old = os.urandom(32)
    with Server([s, old], {public(c): RESPONSE}) as server:
        for secret in (s, old):
            assert fetch(server.address._replace(S=public(secret)), c) == SHARD


def test_a_server_with_another_key_is_silent() -> None:
    with serving() as server, pytest.raises(Unanswered):
        fetch(server.address._replace(S=public(os.urandom(32))), c)
    assert server.outcomes == {"a Hello that does not open": 1}


def test_nobody_there_is_unanswered() -> None:
    with serving() as server:
        pass
    with pytest.raises(Unanswered):
        fetch(server.address, c)


def test_an_epoch_has_one_ephemeral_and_a_session_has_its_own_fresh_value() -> None:
    with serving() as server:
        links = [deed.record(server.address, c)[1] for _ in range(3)]
    assert len({link[3:35] for link in links}) == 1
    assert len({link[35:59] for link in links}) == 3


@pytest.mark.parametrize("name", DEEDS)
def test_an_honest_server_answers_a_deed_as_the_deed_says(name: str) -> None:
    known = DEEDS[name]
    with serving(seconds=DEADLINE_SECONDS if known.is_slow else 5.0) as server:
        assert known.is_met_by(attempt(known.act, server.address, c, seconds=3.0))
    if known.end == "reset":  # for the reason that the deed is about: late if it is slow, else not
        assert (server.outcomes["a deadline passed"], server.outcomes["done"]) == (int(known.is_slow), 0)


@pytest.mark.parametrize("name", TRICKS)
def test_an_honest_client_concludes_from_a_trick_what_the_trick_says(name: str) -> None:
    known = TRICKS[name]
    concluded = conclusion(known.manner, DEADLINE_SECONDS if known.is_slow else 5.0)
    if known.conclusion is Fault:
        assert_broken(concluded)
    else:
        assert concluded is known.conclusion


def test_recorded_frames_earn_nothing_but_a_link() -> None:
    with serving() as server:
        recorded = deed.record(server.address, c)
        for frame in recorded:
            linked = (Kind.LINK,) if frame is recorded[0] else ()
            act = deed.whole_replay([frame, recorded[2], recorded[4]])
            assert attempt(act, server.address, c, 3.0) == Outcome(linked, "reset")
            assert attempt(deed.after_link(frame), server.address, c, 3.0) == Outcome((Kind.LINK,), "reset")
            last = attempt(deed.after_ok_get(frame), server.address, c, 3.0)
            assert last == Outcome((Kind.LINK, Kind.OK_GET), "reset")


def test_recorded_answers_are_faults() -> None:
    with serving() as server:
        _, link, _, ok_get, _ = deed.record(server.address, c)
    for data in (link, ok_get, link + ok_get):
        assert conclusion(trick.say_to_hello(data)) is Fault
        assert conclusion(trick.say_to_get(data)) is Fault


@pytest.mark.parametrize("kind", [kind for kind in range(256) if kind != Kind.HELLO])
def test_no_other_type_opens_a_conversation(kind: int) -> None:
    assert outcome(deed.first(wire.pack(kind, bytes(128)))) == RESET


@pytest.mark.parametrize(
    ("frame", "size", "answers"),
    [
        (0, 131, ()),
        (1, 19, (Kind.LINK,)),
        (2, 51, (Kind.LINK, Kind.OK_GET)),
    ],
)
def test_an_end_or_an_altered_bit_anywhere_ends_in_a_reset(
    frame: int, size: int, answers: tuple[Kind, ...]
) -> None:
    with serving() as server:
        for at in range(size):
            for act in deed.cut(frame, at), deed.altered(frame, at * 8 + at % 8):
                assert attempt(act, server.address, c, 3.0) == Outcome(answers, "reset")


@pytest.mark.parametrize("by_reset", [False, True])
def test_a_cut_answer_is_never_a_shard(by_reset: bool) -> None:
    for offset in range(LINK_BYTES):
        assert conclusion(trick.cut(offset, by_reset)) is Unanswered
    for offset in range(LINK_BYTES, ANSWER_BYTES):
        assert_broken(conclusion(trick.cut(offset, by_reset)))
    assert conclusion(trick.cut(ANSWER_BYTES)) is None


def test_an_altered_answer_is_never_a_shard() -> None:
    for at in range(3 + 72):
        assert_broken(conclusion(trick.altered_link(at * 8 + at % 8), 0.5))
    for at in range(3 + 272):
        assert_broken(conclusion(trick.altered_ok_get(at * 8 + at % 8), 0.5))


@pytest.mark.parametrize("case", RESPONSES["refused"], ids=lambda case: case["why"])
def test_a_malformed_response_is_a_fault(case: dict[str, str]) -> None:
    assert conclusion(trick.respond(bytes.fromhex(case["response"]))) is Fault


def test_an_error_is_escaped_before_it_is_shown() -> None:
    with (
        serving(TRICKS["an_error_with_terminal_escapes"].manner) as server,
        pytest.raises(Refused) as refused,
    ):
        fetch(server.address, c)
    assert str(refused.value).isprintable() and "\\x1b[2J" in str(refused.value)


def test_a_dribble_really_crosses_in_single_bytes() -> None:
    with serving(trick.dribble(0.005)) as server, Client(server.address, c) as client:
        client.stream.send(client.session.hello)
        arrived = [client.stream.peek(size) and len(client.stream.received) for size in range(1, 76)]
        client.take_link()
    alone = sum(seen == size for size, seen in enumerate(arrived, start=1))
    assert alone > 40  # a busy machine may join some


ROOT = Path(__file__).resolve().parents[2]


def program(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "tests.peer", *map(str, words)]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program(*words), cwd=ROOT, capture_output=True, text=True, timeout=20)


@contextlib.contextmanager
def program_serving(*words: str | Path) -> Iterator[str]:
    command = program("server", *words)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()
            process.wait(10)


def test_the_programs_serve_and_fetch(tmp_path: Path) -> None:
    ids = {name: run("keygen", tmp_path / name).stdout.strip() for name in ("server", "client", "other")}
    (tmp_path / "it.toml").write_text(f'[clients]\nweb = "{ids["client"]}"\n[web]\npassword = "hunter2"\n')
    flags = ("--key", tmp_path / "server", "--definition", tmp_path / "it.toml")
    with program_serving(*flags) as bound:
        at = ("--server", f"coffer://{ids['server']}@{bound}", "--key")
        assert run("client", *at, tmp_path / "client").stdout == '{"password": "hunter2"}\n'
        assert run("client", *at, tmp_path / "other").returncode == 77
        did = run("client", *at, tmp_path / "client", "--deed", "get_twice")
        assert (did.returncode, did.stdout) == (0, '{"answers": ["LINK", "OK_GET"], "end": "reset"}\n')
    with program_serving(*flags, "--trick", "junk") as bound:
        refused = run("client", "--server", f"coffer://{ids['server']}@{bound}", "--key", tmp_path / "client")
        assert refused.returncode == 76


def test_a_key_file_and_an_address_are_read_as_written(tmp_path: Path) -> None:
    text_id = save_key(tmp_path / "key", s)
    assert load_key(tmp_path / "key") == s
    for host, port in (("[::1]", ":7"), ("h.example", ""), ("10.0.0.1", ":26333")):
        address = parse_address(f"coffer://{text_id}@{host}{port}")
        assert address == (public(s), host.strip("[]"), int(port[1:] or 26333))
