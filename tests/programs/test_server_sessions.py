"""coffer-server and its peers: every deadline, every cap, and what the log says of each."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import environment_in
from tower import Tower, ending, is_accepted, take, until

BIG = "[web]\n" + "".join(f'K{number} = "{"x" * 6500}"\n' for number in range(10))


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tower]:
    """A server whose answer to web has nearly 64 KiB, and that has all the default limits."""
    folder = tmp_path_factory.mktemp("tower")
    tower = Tower(folder, environment_in(folder))
    tower.seal(BIG)
    tower.open("--verbose")
    yield tower
    tower.close()


@pytest.fixture
def own(tmp_path: Path, environment: dict[str, str]) -> Iterator[Tower]:
    """A server of the test's own, not yet started."""
    tower = Tower(tmp_path, environment)
    yield tower
    tower.close()


Peer = Callable[[Tower], tuple[socket.socket, float]]


def silent(tower: Tower) -> tuple[socket.socket, float]:
    sock = tower.connect()
    return sock, time.monotonic()


def half_a_hello(tower: Tower) -> tuple[socket.socket, float]:
    sock = tower.connect()
    began = time.monotonic()
    sock.sendall(tower.session().hello[:100])
    return sock, began


def dribbling_hello(tower: Tower) -> tuple[socket.socket, float]:
    sock = tower.connect()
    began = time.monotonic()
    dribble(sock, tower.session().hello, 0.25)
    return sock, began


def linked(tower: Tower) -> tuple[socket.socket, float]:
    sock, _, _ = tower.linked()
    return sock, time.monotonic()


def dribbling_get(tower: Tower) -> tuple[socket.socket, float]:
    sock, _, get = tower.linked()
    began = time.monotonic()
    dribble(sock, get, 0.4)
    return sock, began


def without_bye(tower: Tower) -> tuple[socket.socket, float]:
    sock, _, get = tower.linked()
    sock.sendall(get)
    take(sock, 3 + 16 + 256 * 255)
    return sock, time.monotonic()


def taking_nothing(tower: Tower) -> tuple[socket.socket, float]:
    sock, _, get = tower.linked(room=2048)
    sock.sendall(get)
    return sock, time.monotonic()


def unknown(tower: Tower) -> tuple[socket.socket, float]:
    sock = tower.connect()
    sock.sendall(tower.session("stranger").hello)
    take(sock, 107)
    return sock, time.monotonic()


def after_bye(tower: Tower) -> tuple[socket.socket, float]:
    sock, session, get = tower.linked("worker")
    sock.sendall(get)
    sock.sendall(session.receive(take(sock, 3 + 16 + 256)))
    return sock, time.monotonic()


def dribble(sock: socket.socket, data: bytes, pause: float) -> None:
    """Send a byte now and then, until the other end has had enough."""

    def send() -> None:
        try:
            for at in range(len(data)):
                sock.sendall(data[at : at + 1])
                time.sleep(pause)
        except OSError:
            return

    threading.Thread(target=send, daemon=True).start()


DEADLINES: list[tuple[Peer, float, str]] = [
    (silent, 5, "reset"),
    (half_a_hello, 5, "reset"),
    (dribbling_hello, 5, "reset"),
    (linked, 5, "reset"),
    (dribbling_get, 5, "reset"),
    (without_bye, 2, "reset"),
    (taking_nothing, 5, "reset"),
    (unknown, 1, "closed"),
    (after_bye, 1, "closed"),
]


def test_every_deadline_is_kept_to_half_a_second_and_none_is_stretched_by_a_dribble(tower: Tower) -> None:
    found: dict[str, tuple[float, str]] = {}

    def suffer(peer: Peer) -> None:
        sock, began = peer(tower)
        if peer is taking_nothing:
            with sock:  # reading would be taking: the server's own line tells
                tower.await_line("127.0.0.1: web: deadline: it does not take its answer")
                found[peer.__name__] = time.monotonic() - began, "reset"
            return
        how = ending(sock)[1]
        found[peer.__name__] = time.monotonic() - began, how

    threads = [threading.Thread(target=suffer, args=(peer,)) for peer, _, _ in DEADLINES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for peer, seconds, how in DEADLINES:
        took, ended = found[peer.__name__]
        assert ended == how, peer.__name__
        assert seconds - 0.1 < took < seconds + 0.5, (peer.__name__, took)
    log = tower.read_log()
    assert log.count("127.0.0.1: deadline: no whole Hello in time") == 3
    assert log.count("127.0.0.1: deadline: no whole Get in time") == 2
    assert log.count("127.0.0.1: web: deadline: no whole Bye in time") == 1


def test_each_fault_is_named_by_its_step_and_never_by_its_bytes(own: Tower) -> None:
    own.open("--workers", "1")
    strangers = own.session(server="stranger")
    faults = {
        "127.0.0.1: Hello: the outer box does not open (the client has another server's id, or speaks something else)":
            strangers.hello,
        "127.0.0.1: the stream ends inside a frame where Hello was to come": own.session().hello[:50],
        "127.0.0.1: the stream ends where Hello was to come": b"",
    }  # fmt: skip
    for line, said in faults.items():
        sock = own.connect()
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        assert ending(sock) == (0, "reset")
        until(lambda line=line: f"coffer-server: {line}\n" in own.read_log(), 5, own.read_log)
    time.sleep(1)
    for said in (b"\x00\x80\x07MARKER", b"\x00\x81\x00MARKER", b"GET /MARKER HTTP/1.1\r\n\r\n"):
        sock = own.connect()
        sock.sendall(said)
        assert ending(sock) == (0, "reset")
    sock, _, get = own.linked()
    sock.sendall(get[:-1] + bytes([get[-1] ^ 1]))
    assert ending(sock) == (0, "reset")
    until(lambda: own.read_log().count("coffer-server: 127.0.0.1: ") == 7, 5, own.read_log)
    assert "coffer-server: 127.0.0.1: after Link: the box does not open\n" in own.read_log()
    assert "MARKER" not in own.read_log()


def test_without_verbose_good_sessions_leave_no_line_and_with_it_one_each(own: Tower, tower: Tower) -> None:
    own.open()
    own.fetch()
    before = own.read_log()
    own.fetch("worker")
    time.sleep(0.2)
    assert own.read_log() == before
    tower.fetch("worker")
    sock, session = tower.connect(), tower.session("stranger")
    with sock:
        sock.sendall(session.hello)
        session.receive(take(sock, 107))
        assert session.unknown
    tower.await_line(r"coffer-server: worker: fetched in [0-9]+\.[0-9] ms\n")
    tower.await_line(r"coffer-server: 127\.0\.0\.1: KeyNotFound in [0-9]+\.[0-9] ms\n")


def test_all_workers_together_write_ten_lines_a_second_about_peers(own: Tower) -> None:
    own.open("--workers", "2", "--failing-hellos-per-source", "0")
    began = time.monotonic()
    while time.monotonic() < began + 2.2:
        sock = own.connect()
        sock.sendall(b"\x00\x00\x00")
        assert ending(sock) == (0, "reset")
    lines = [line for line in own.read_log().splitlines() if "127.0.0.1: " in line]
    assert 10 <= len(lines) <= 40  # three seconds begun, or four
    assert any("more lines about peers were left out)" in line for line in lines)


# ---- caps


def test_when_the_server_is_full_whoever_is_silent_longest_gives_way(own: Tower) -> None:
    own.open("--max-connections", "3", "--max-connections-per-source", "0")
    linked, session, get = own.linked()
    first, second = own.connect(), own.connect()
    until(lambda: is_accepted(first) and is_accepted(second))
    own.fetch("worker")
    assert ending(first) == (0, "reset")
    own.await_line(r"127\.0\.0\.1: gave way: the server is full \(--max-connections\)")
    with linked, second:
        linked.sendall(get)
        session.receive(take(linked, 3 + 16 + 256))
        assert session.response, "who has got Link is never cut"
    assert "at most 3 connections each" in own.read_log()


def test_a_source_with_too_many_connections_is_reset_and_told_in_the_log_why(own: Tower) -> None:
    own.open("--max-connections-per-source", "2")
    with own.connect() as first, own.connect() as second:
        until(lambda: is_accepted(first) and is_accepted(second))
        assert _is_reset_at_once(own)
        own.fetch(source="127.0.0.2")
    own.await_line(
        r"127\.0\.0\.1: over 2 connections from one source "
        r"\(--max-connections-per-source; behind a proxy or NAT all clients are one source\)"
    )
    until(lambda: _fetches(own))


def _is_reset_at_once(tower: Tower) -> bool:
    """Whether a new connection is reset unheard: this may show before connect() is done."""
    try:
        return ending(tower.connect()) == (0, "reset")
    except ConnectionResetError:
        return True


def _fetches(tower: Tower) -> bool:
    try:
        return bool(tower.fetch())
    except (AssertionError, ConnectionError):
        return False


def test_failing_hellos_empty_a_bucket_that_time_refills_and_key_not_found_is_one(own: Tower) -> None:
    own.open("--failing-hellos-per-source", "1:2")
    sock = own.connect()
    sock.sendall(own.session("stranger").hello)
    take(sock, 107)
    sock.close()
    sock = own.connect()
    sock.sendall(b"\x00\x00\x00")
    assert ending(sock) == (0, "reset")
    assert not _fetches(own)
    own.fetch(source="127.0.0.2")
    own.await_line(r"too many failing Hellos from one source \(--failing-hellos-per-source; behind a proxy")
    until(lambda: _fetches(own), 3)


def test_a_hello_played_again_and_again_is_no_better_than_a_failing_one(own: Tower) -> None:
    own.open("--failing-hellos-per-source", "1:5", "--workers", "1")
    recorded = own.session().hello
    for _ in range(5):
        sock = own.connect()
        sock.sendall(recorded)
        take(sock, 75)
        sock.close()
    until(lambda: own.read_log().count("after Link: the stream ends where Get was to come") == 5, 5, own.read_log)
    assert not _fetches(own)
    own.fetch(source="127.0.0.2")
    assert "web" not in own.read_log().partition("at most")[2], "who is not there is not named"


def test_good_hellos_cost_nothing_of_the_bucket(own: Tower) -> None:
    own.open("--failing-hellos-per-source", "0.1:1")
    for _ in range(20):
        own.fetch()
