"""The limit against the second implementation: honest, dishonest, and what it says at its end.

Deadlines are not here: the limit has none, so the slow deeds would wait for ever.
"""

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from peer import deed
from peer.boxes import public
from peer.client import Client as Peer
from peer.client import fetch
from peer.deeds import DEEDS
from peer.fault import Unanswered
from peer.identity import Address, save_key
from peer.response import encode
from peer.wire import ANSWERS, ClientSession

from .running import Client, Limit, load, write_clients, write_private

QUICK_DEEDS = [name for name, deed in DEEDS.items() if not deed.is_slow]


def where(limit: Limit, s: bytes) -> Address:
    host, _, port = limit.address.rpartition(":")
    return Address(public(s), host, int(port))


def response(address: Address, c: bytes) -> bytes:
    """Fetch as the peer does, but take any bytes for a response."""
    with Peer(address, c) as peer:
        peer.hello()
        peer.stream.send(peer.session.get())
        _, body = peer.session.take_answer(peer.stream.frame(ANSWERS))
        peer.bye()
        return body


def test_every_client_gets_its_own_response(limit: Limit, s: bytes, clients: list[Client]) -> None:
    for _ in range(2):  # with dh(C,s) to be computed, and kept
        for client in clients:
            assert response(where(limit, s), client.secret) == client.bodies[0]


@pytest.mark.parametrize("name", QUICK_DEEDS)
def test_it_meets_a_deed_as_an_honest_server(
    programs: Path, tmp_path: Path, key_file: Path, s: bytes, name: str
) -> None:
    c = os.urandom(32)
    file = write_clients(tmp_path / "one", [Client(c, [encode({"password": "hunter2"})])])
    with Limit(programs, key_file, file) as limit:
        outcome = deed.attempt(DEEDS[name].act, where(limit, s), c, seconds=5.0)
        assert DEEDS[name].is_met_by(outcome), outcome
        assert fetch(where(limit, s), c) == {"password": "hunter2"}


def test_there_are_deeds() -> None:
    assert len(QUICK_DEEDS) > 20


def test_a_client_with_the_wrong_server_key_hears_nothing(limit: Limit, s: bytes, clients: list[Client]) -> None:
    with pytest.raises(Unanswered, match="before Link"):
        fetch(where(limit, os.urandom(32)), clients[0].secret)


def test_a_coffer_key_file_is_taken_too(programs: Path, tmp_path: Path, clients: list[Client]) -> None:
    s = os.urandom(32)
    save_key(tmp_path / "coffer.key", s)
    file = write_clients(tmp_path / "clients", clients)
    with Limit(programs, tmp_path / "coffer.key", file) as limit:
        assert response(where(limit, s), clients[0].secret) == clients[0].bodies[0]


def test_a_new_epoch_has_a_new_key_and_a_session_outlives_it(
    programs: Path, key_file: Path, clients_file: Path, s: bytes, clients: list[Client]
) -> None:
    seen = set()
    with Limit(programs, key_file, clients_file, "--epoch", 0.005) as limit:
        for _ in range(100):
            with Peer(where(limit, s), clients[0].secret) as peer:
                peer.hello()
                seen.add(bytes(peer.stream.received[3:35]))
                peer.stream.send(peer.session.get())
                assert peer.session.take_answer(peer.stream.frame(ANSWERS))[1] == clients[0].bodies[0]
    assert len(seen) > 2


def test_a_reader_that_is_slow_gets_the_largest_response_whole(limit: Limit, s: bytes, clients: list[Client]) -> None:
    largest = max(clients, key=lambda client: len(client.bodies[0]))
    address, session = where(limit, s), ClientSession(public(s), largest.secret)
    with socket.socket() as sock, sock.makefile("rb", buffering=0) as stream:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # keeps the server's buffer small too
        sock.connect((address.host, address.port))
        sock.sendall(session.hello)
        session.take_reply(stream.read(75))
        sock.sendall(session.get())
        frame = b""
        while len(frame) < 3 + 16 + 65_280:
            time.sleep(0.001)
            frame += stream.read(2048)
        assert session.take_answer(frame)[1] == largest.bodies[0]
        sock.sendall(session.bye())


def test_its_last_line_has_the_sessions_and_the_cpu_they_cost(
    programs: Path, limit: Limit, server_id: str, clients_file: Path
) -> None:
    assert load(programs, (limit.address, server_id), "--clients", clients_file, "--sessions", 700).exit_code == 0
    figures = limit.stop()
    assert limit.process.returncode == 0
    assert figures["sessions"] == figures["accepted"] == 700
    used = figures["user_seconds"] + figures["system_seconds"]
    assert figures["cpu_us_per_session"] == pytest.approx(used * 1e6 / 700, rel=0.01)
    assert 20 < figures["cpu_us_per_session"] < 5000  # two X25519 cost more than 20 us on any machine


SECRET = "ab" * 32


@pytest.mark.parametrize(
    ("key", "clients", "error"),
    [
        ("ab" * 31, "", "server.key: no secret key in it"),
        ("# only a comment", "", "server.key: no secret key in it"),
        ("coffer-secret-key-1:AAAA", "", "server.key: no secret key in it"),
        (SECRET, "# nobody\n\n", "clients: no client in it"),
        (SECRET, f"secret={SECRET}\n", "clients:1: no body"),
        (SECRET, f"\nsecret={SECRET[2:]} body=80\n", "clients:2: word 1 is wrong or one too many"),
        (SECRET, f"secret={SECRET} body=8\n", "clients:1: word 2 is wrong or one too many"),
        (SECRET, f"secret={SECRET} secret={SECRET}\n", "clients:1: word 2 is wrong or one too many"),
        (SECRET, "body=80\n", "clients:1: neither secret= nor public="),
        (SECRET, f"secret={SECRET} body=80\n" * 2, "clients:2: this client stands above too"),
        (SECRET, f"secret={SECRET} body={'00' * 65_280}\n", "clients:1: word 2 is wrong or one too many"),
    ],
)
def test_a_file_it_can_not_use_is_one_clear_error(
    programs: Path, tmp_path: Path, key: str, clients: str, error: str
) -> None:
    key_file = write_private(tmp_path / "server.key", key)
    clients_file = write_private(tmp_path / "clients", clients)
    command = [str(word) for word in (programs / "limit", "--key", key_file, "--clients", clients_file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"limit: error: {re.escape(str(tmp_path))}/{re.escape(error)}\nhint: .+\n", done.stderr)
    assert SECRET not in done.stderr
