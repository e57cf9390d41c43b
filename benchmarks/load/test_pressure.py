"""The generator's crowds of strangers, and its measure of whether time tells who is known."""

import time
from pathlib import Path

import pytest

from .listener import Listener
from .running import Client, Limit, finish_load, load, start_load, write_clients


def test_idle_connections_are_kept_at_their_number_and_timed(programs: Path, server_id: str) -> None:
    with Listener(lasting=0.4) as listener:
        done = load(programs, (listener.address, server_id), "--idle", 20, "--seconds", 1)
    idle = done.figures["idle"]
    assert done.exit_code == 0
    assert 15 <= idle["open"] <= 20  # one that has just been closed comes back at the next sweep
    assert idle["opened"] == idle["reset"] + idle["open"] >= 50
    assert 0.39 < idle["lasted_min_s"] <= idle["lasted_p50_s"] <= idle["lasted_max_s"] < 0.9
    assert (idle["bytes_received"], idle["closed"], idle["refused"]) == (0, 0, 0)
    assert all(visit.data == b"" for visit in listener.visits)


def test_an_idle_connection_that_is_never_closed_shows(programs: Path, server_id: str) -> None:
    with Listener(lasting=2) as listener:
        idle = load(programs, (listener.address, server_id), "--idle", 3, "--seconds", 0.5).figures["idle"]
    assert (idle["opened"], idle["reset"], idle["closed"], idle["open"]) == (3, 0, 0, 3)
    assert 0.4 < idle["oldest_open_s"] < 2


def test_an_orderly_end_is_not_a_reset(programs: Path, server_id: str) -> None:
    with Listener(lasting=0.1, orderly=True) as listener:
        idle = load(programs, (listener.address, server_id), "--idle", 2, "--seconds", 0.5).figures["idle"]
    assert idle["closed"] >= 2
    assert idle["reset"] == 0


def test_dribblers_send_a_hello_one_byte_a_second(programs: Path, server_id: str) -> None:
    with Listener(lasting=2.5) as listener:
        done = load(programs, (listener.address, server_id), "--dribble", 5, "--seconds", 3)
    finished = listener.visits[:5]
    for visit in finished:
        assert len(visit.data) == len(visit.arrivals) == 3
        assert visit.data == b"\x00\x80\x00"
        assert visit.arrivals == pytest.approx([0, 1, 2], abs=0.4)
    assert done.figures["dribble"]["reset"] == 5


def test_garbage_comes_at_its_rate_and_no_two_are_alike(programs: Path, server_id: str) -> None:
    with Listener(lasting=0.05) as listener:
        done = load(programs, (listener.address, server_id), "--garbage", 100, "--seconds", 1)
    garbage = done.figures["garbage"]
    assert done.exit_code == 0
    assert 50 <= garbage["opened"] <= 100 * done.figures["seconds"] + 5
    hellos = [visit.data for visit in listener.visits if visit.data]
    assert all(len(data) == 131 and data.startswith(b"\x00\x80\x00") for data in hellos)
    assert len(hellos) == len(set(hellos)) >= 50
    assert garbage["bytes_received"] == 0


def test_a_byte_given_to_a_stranger_is_counted_and_fails_the_run(programs: Path, server_id: str) -> None:
    with Listener(lasting=0.05, words=b"hi", orderly=True) as talking:
        done = load(programs, (talking.address, server_id), "--garbage", 50, "--seconds", 0.5)
    assert done.exit_code == 1
    assert done.figures["garbage"]["bytes_received"] >= 20


def test_pressure_and_honest_sessions_go_together(
    programs: Path, limit: Limit, server_id: str, clients_file: Path
) -> None:
    pressure = start_load(
        programs, (limit.address, server_id),
        "--idle", 200, "--dribble", 20, "--garbage", 500, "--source", "127.0.0.2-127.0.0.5", "--seconds", 1,
    )  # fmt: skip
    time.sleep(0.3)
    honest = load(programs, (limit.address, server_id), "--clients", clients_file, "--sessions", 300)
    strangers = finish_load(pressure)
    assert (honest.exit_code, strangers.exit_code) == (0, 0)
    assert strangers.figures["garbage"]["reset"] > 100
    assert strangers.figures["garbage"]["bytes_received"] == 0


def test_the_limit_which_lacks_the_second_try_is_seen_to_tell_known_from_unknown(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients: list[Client]
) -> None:
    """The control of the promise of equal work: here the X25519 that a known client saves must show."""
    warm = write_clients(tmp_path / "warm", clients[:3])
    cold = write_clients(tmp_path / "cold", clients[3:])
    raw = tmp_path / "raw"
    options = ["--clients", warm, "--cold", cold, "--bad-inner", 1500, "--raw", raw]
    done = load(programs, (limit.address, server_id), *options)
    probes = done.figures["bad_inner"]
    assert done.exit_code == 0
    assert done.figures["sessions"] == 3
    assert (probes["bytes_received"], probes["not_reset"]) == (0, 0)
    assert sum(probes[name]["probes"] for name in ("known", "cold", "unknown")) == 1500
    assert probes["unknown"]["p50_ns"] - probes["known"]["p50_ns"] > 5_000
    assert probes["cold"]["p50_ns"] - probes["known"]["p50_ns"] > 5_000
    lines = [line.split() for line in raw.read_text().splitlines()]
    assert len([name for name, _ in lines if name == "known"]) == probes["known"]["probes"]
    known = sorted(int(nanoseconds) for name, nanoseconds in lines if name == "known")
    assert known[(len(known) + 1) // 2 - 1] == probes["known"]["p50_ns"]


def test_an_answer_to_a_probe_is_counted_and_fails_the_run(
    programs: Path, tmp_path: Path, server_id: str, clients: list[Client]
) -> None:
    file = write_clients(tmp_path / "one", clients[:1])
    with Listener(lasting=0.02, words=b"who?", orderly=True) as talking:
        options = ["--clients", file, "--seconds", 0.001, "--bad-inner", 5]
        done = load(programs, (talking.address, server_id), *options)
    assert done.exit_code == 1
    assert done.figures["bad_inner"]["bytes_received"] == 20
    assert done.figures["bad_inner"]["not_reset"] == 5
