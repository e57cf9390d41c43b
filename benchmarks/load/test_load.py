"""The generator's honest sessions: every answer checked, every failure told by its kind, every figure right."""

import hashlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from peer import fault
from peer.boxes import public
from peer.identity import format_id
from peer.server import Conversation, Server
from peer.tricks import TRICKS
from peer.wire import Kind, Shared, pack, seal, session_keys

from .listener import Listener
from .running import Client, Limit, finish_load, load, start_load, write_clients

FAILURES = {
    "local", "connect_refused", "reset_before_link", "closed_before_link", "reset_after_link", "closed_after_link",
    "bad_frame", "bad_box", "bad_padding", "wrong_body", "key_not_found", "error", "deadline",
}  # fmt: skip
UNANSWERED = {"reset_before_link", "closed_before_link", "deadline"}
REFUSED = {"key_not_found", "error"}


def address(peer: Server) -> str:
    return f"{peer.host}:{peer.port}"


def kinds(failures_by: dict[str, int]) -> dict[str, int]:
    """The kinds that happened; that all are named, each time, is checked on the way."""
    assert set(failures_by) == FAILURES
    return {kind: count for kind, count in failures_by.items() if count}


def test_sessions_at_a_width_over_many_clients_all_succeed(
    programs: Path, limit: Limit, server_id: str, clients_file: Path
) -> None:
    done = load(programs, (limit.address, server_id), "--clients", clients_file, "--sessions", 2000, "--width", 50)
    figures = done.figures
    assert (done.exit_code, done.stderr) == (0, "")
    assert (figures["sessions"], figures["failures"], figures["retries"]) == (2000, 0, 0)
    assert kinds(figures["failures_by"]) == {}
    assert figures["answers"][0] == 2000
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["p99_9_us"] <= figures["max_us"]
    assert figures["rate"] == pytest.approx(2000 / figures["seconds"], rel=0.05)


def test_it_says_its_bye_and_closes_first(limit: Limit, programs: Path, server_id: str, clients_file: Path) -> None:
    load(programs, (limit.address, server_id), "--clients", clients_file, "--sessions", 300)
    figures = limit.stop()
    assert (figures["sessions"], figures["resets"]) == (300, 0)


def test_the_second_implementation_is_content_with_it(
    programs: Path, s: bytes, server_id: str, clients: list[Client], clients_file: Path
) -> None:
    options = ["--clients", clients_file, "--sessions", 150, "--width", 8]
    with Server([s], {public(client.secret): client.bodies[0] for client in clients}) as peer:
        done = load(programs, (address(peer), server_id), *options)
    assert (done.exit_code, done.figures["answers"][0]) == (0, 150)
    assert peer.outcomes == {"done": 150}


def test_the_id_text_names_the_server_as_well(programs: Path, limit: Limit, s: bytes, clients_file: Path) -> None:
    server = (limit.address, format_id(public(s)).lower())
    assert load(programs, server, "--clients", clients_file, "--sessions", 7).exit_code == 0


@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_of_a_server_passes_for_an_answer(
    programs: Path, tmp_path: Path, s: bytes, server_id: str, name: str
) -> None:
    c, trick = os.urandom(32), TRICKS[name]
    file = write_clients(tmp_path / "one", [Client(c, [b"\x80"])])
    deadline = 0.5 if trick.is_slow else 5
    with Server([s], {public(c): b"\x80"}, trick.manner) as server:
        done = load(programs, (address(server), server_id), "--clients", file, "--sessions", 1, "--deadline", deadline)
    happened = kinds(done.figures["failures_by"])
    if trick.conclusion is None:
        assert (done.exit_code, happened) == (0, {})
        return
    assert (done.exit_code, sum(happened.values())) == (1, 1), happened
    if trick.conclusion is fault.Refused:
        assert set(happened) <= REFUSED
    elif trick.conclusion is fault.Unanswered:
        assert set(happened) <= UNANSWERED
    elif "utf" not in name:  # load does not read the text of an Error
        assert not REFUSED & set(happened), happened


def test_a_low_order_ephemeral_of_the_server_is_refused_even_if_its_frames_would_open(
    programs: Path, tmp_path: Path, s: bytes, server_id: str
) -> None:
    def manner(talk: Conversation) -> None:
        talk.take_hello()
        session = talk.session
        session.fresh = bytes(32) + os.urandom(24)
        shared = Shared(session.asked.with_client, session.asked.with_ephemeral, bytes(32))
        session.keys = session_keys(session.S, session.hello, Kind.LINK, session.fresh, shared)
        talk.stream.send(pack(Kind.LINK, session.fresh + seal(session.keys.down, Kind.LINK, b"")))
        talk.stream.end(1.0)

    file = write_clients(tmp_path / "one", [Client(os.urandom(32))])
    with Server([s], {}, manner) as server:
        done = load(programs, (address(server), server_id), "--clients", file, "--sessions", 1)
    assert kinds(done.figures["failures_by"]) == {"bad_box": 1}


def test_there_are_tricks() -> None:
    assert Counter(trick.conclusion for trick in TRICKS.values()).total() > 20


@pytest.mark.parametrize("kind", ["reset_before_link", "key_not_found", "wrong_body", "connect_refused"])
def test_a_failure_is_counted_by_its_kind_and_told_once(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients: list[Client], kind: str
) -> None:
    wrong = {
        "reset_before_link": ((limit.address, public(os.urandom(32)).hex()), clients[0]),
        "key_not_found": ((limit.address, server_id), Client(os.urandom(32))),
        "wrong_body": ((limit.address, server_id), clients[0]._replace(bodies=[b"other"])),
        "connect_refused": (("127.0.0.1:1", server_id), clients[0]),
    }
    server, client = wrong[kind]
    file = write_clients(tmp_path / "wrong", [client])
    done = load(programs, server, "--clients", file, "--sessions", 20, "--first-failure")
    assert (done.exit_code, done.figures["sessions"], done.figures["failures"]) == (1, 20, 20)
    assert kinds(done.figures["failures_by"]) == {kind: 20}
    assert re.fullmatch(rf"load: first {kind}: client of line 1, after [0-9.]+ ms(, [A-Z].+)?\n", done.stderr)


def test_any_of_several_accepted_answers_will_do_and_each_is_counted(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients: list[Client]
) -> None:
    def digest(body: bytes) -> bytes:
        return hashlib.blake2b(body, digest_size=16).digest()

    first, second = clients[0], clients[1]
    file = write_clients(
        tmp_path / "alternatives",
        [
            first._replace(bodies=[b"another", first.bodies[0]]),
            second._replace(bodies=[], digests=[digest(second.bodies[0]), digest(b"another")]),
        ],
    )
    done = load(programs, (limit.address, server_id), "--clients", file, "--sessions", 30)
    assert (done.exit_code, done.figures["answers"][:3]) == (0, [15, 15, 0])


def test_a_client_without_expectation_takes_any_answer_that_opens(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients: list[Client]
) -> None:
    file = write_clients(tmp_path / "any", [client._replace(bodies=[]) for client in clients])
    assert load(programs, (limit.address, server_id), "--clients", file, "--sessions", 30).exit_code == 0


def test_a_retry_that_succeeds_is_no_failure(
    programs: Path, key_file: Path, clients_file: Path, server_id: str
) -> None:
    with Limit(programs, key_file, clients_file) as limit:
        server = (limit.address, server_id)
    options = ["--clients", clients_file, "--sessions", 50, "--width", 5, "--retries", 300]
    running = start_load(programs, server, *options)
    time.sleep(0.3)
    with Limit(programs, key_file, clients_file, "--listen", server[0]):
        done = finish_load(running)
    assert (done.exit_code, done.figures["failures"]) == (0, 0)
    assert done.figures["retries"] >= 5
    assert done.figures["max_us"] > 200_000  # time runs from the first attempt


def test_a_server_that_dies_fails_the_sessions_it_had(
    programs: Path, limit: Limit, server_id: str, clients_file: Path
) -> None:
    running = start_load(programs, (limit.address, server_id), "--clients", clients_file, "--seconds", 1)
    time.sleep(0.5)
    limit.process.kill()
    done = finish_load(running)
    assert done.exit_code == 1
    assert done.figures["sessions"] > done.figures["failures"] >= 16
    assert kinds(done.figures["failures_by"])["connect_refused"] >= 16


def test_a_silent_server_is_given_up_at_the_deadline(programs: Path, server_id: str, clients_file: Path) -> None:
    with Listener(lasting=3) as silent:
        began = time.monotonic()
        options = ["--clients", clients_file, "--sessions", 4, "--deadline", 0.3]
        done = load(programs, (silent.address, server_id), *options)
    assert kinds(done.figures["failures_by"]) == {"deadline": 4}
    assert 0.3 < time.monotonic() - began < 10


def test_an_open_loop_keeps_its_rate(programs: Path, limit: Limit, server_id: str, clients_file: Path) -> None:
    options = ["--clients", clients_file, "--seconds", 1, "--rate", 300]
    figures = load(programs, (limit.address, server_id), *options).figures
    assert figures["failures"] == 0
    assert 290 <= figures["sessions"] + figures["not_begun"] <= 302


def test_an_open_loop_hides_no_stall(programs: Path, server_id: str, clients_file: Path) -> None:
    with Listener(lasting=0.5) as slow:
        options = ["--clients", clients_file, "--seconds", 0.4, "--rate", 100, "--width", 2]
        figures = load(programs, (slow.address, server_id), *options).figures
    assert figures["sessions"] == 2
    assert figures["not_begun"] == 38


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_early_with_all_figures_and_no_cut_session(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients_file: Path, number: signal.Signals
) -> None:
    record = tmp_path / "record"
    options = ["--clients", clients_file, "--seconds", 60, "--record", record]
    running = start_load(programs, (limit.address, server_id), *options)
    while not record.exists() or not record.stat().st_size:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(number)
    done = finish_load(running)
    assert (done.exit_code, done.figures["failures"]) == (0, 0)
    assert done.figures["sessions"] > 0
    assert limit.stop()["sessions"] == done.figures["sessions"]


def test_sources_are_taken_in_turn(programs: Path, server_id: str, clients_file: Path) -> None:
    with Listener(lasting=0) as listener:
        options = ["--clients", clients_file, "--sessions", 30, "--source", "127.0.0.2-127.0.0.4"]
        load(programs, (listener.address, server_id), *options)
    assert Counter(visit.source for visit in listener.visits) == {
        "127.0.0.2": 10, "127.0.0.3": 10, "127.0.0.4": 10
    }  # fmt: skip


def test_the_record_has_every_opening_once_and_only_lengths_of_the_protocol(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients: list[Client]
) -> None:
    one = write_clients(tmp_path / "one", [clients[4]])
    stranger = write_clients(tmp_path / "stranger", [Client(os.urandom(32))])
    record = tmp_path / "record"
    for file, sessions in ((one, 400), (stranger, 5)):
        options = ["--clients", file, "--sessions", sessions, "--record", record]
        done = load(programs, (limit.address, server_id), *options)
        assert done.figures["record"] == {"lines": sessions, "clear_keys": 0}
    lines = [line.split(" ", 1) for line in record.read_text().splitlines()]
    openings = [opening for opening, _ in lines]
    assert len(openings) == len(set(openings)) == 405
    assert len({opening[:64] for opening in openings}) == 1
    assert Counter(frames for _, frames in lines) == {
        ">00:128 <01:72 >02:16 <03:1296 >99:48": 400,
        ">00:128 <aa:104": 5,
    }


def test_a_public_key_in_clear_is_noticed(programs: Path, tmp_path: Path, s: bytes, server_id: str) -> None:
    c = os.urandom(32)
    file = write_clients(tmp_path / "one", [Client(c)])
    record = tmp_path / "record"
    with Listener(lasting=0.2, words=b"\x00\x48\x01" + public(c) + bytes(40)) as telling:
        options = ["--clients", file, "--sessions", 1, "--record", record]
        done = load(programs, (telling.address, server_id), *options)
    assert kinds(done.figures["failures_by"]) == {"bad_box": 1}
    assert done.figures["record"] == {"lines": 1, "clear_keys": 1}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--server", "00" * 31], "--server: not an id"),
        (["--server", "AAAA-" * 14], "--server: not an id"),
        (["--connect", "127.0.0.1"], "--connect: no such address: 127.0.0.1"),
        (["--width", "0"], "--width: not a number of at least 1: 0"),
        (["--width", "1.5"], "--width: not a whole number up to a million: 1.5"),
        (["--rate", "nan"], "--rate: not a number of at least 0.001: nan"),
        (["--source", "127.0.0.9-127.0.0.2"], "--source: not two IPv4 addresses in order: 127.0.0.9-127.0.0.2"),
        (["--clients", "/nowhere"], "/nowhere: No such file or directory"),
        (["--sessions", "5"], "--sessions and --bad-inner need clients"),
        (["--idle", "1", "--raw", "x"], "--cold and --raw belong to --bad-inner"),
        ([], "nothing to do"),
        (["stray"], "not an option: stray"),
    ],
)
def test_a_wrong_option_is_one_clear_error(programs: Path, options: list[str], error: str) -> None:
    idle = [] if error == "nothing to do" else ["--idle", "1"]
    command = [str(programs / "load"), "--connect", "127.0.0.1:1", "--server", "09" * 32, *idle, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"load: error: {re.escape(error)}\nhint: .+\n", done.stderr)
