"""The connection loop on real sockets: who is served, who is reset, who gives way, and after how long."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coffer.server import doors
from coffer.server.sources import Sources

from .looping import Running, ending, is_served, seconds_to_end


def test_a_conversation_is_carried_and_closed_by_the_client_first() -> None:
    with Running() as running:
        sock = running.connect(b"hello\n")
        assert sock.recv(100) == b"hello\n"
        sock.sendall(b"bye\n")
        time.sleep(0.1)
        assert running.ends == []
        sock.close()
        assert running.await_ends(1) == [None]


def test_a_client_that_never_closes_is_closed_after_a_second() -> None:
    with Running() as running:
        seconds, how = seconds_to_end(running.connect(b"bye\n"))
        assert how == "closed" and 0.9 < seconds < 1.5
        assert running.await_ends(1) == [None]


def test_whoever_errs_is_reset_and_told_nothing() -> None:
    with Running() as running:
        for said in (b"x\n", b"bye\nmore\n", b"bye\n\n"):
            assert ending(running.connect(said)) == (b"", "reset")
        sock = running.connect(b"hel")
        sock.shutdown(socket.SHUT_WR)
        assert ending(sock) == (b"", "reset")
        assert running.await_ends(4) == ["a fault"] * 3 + ["an end too early"]


def test_what_was_earned_before_a_fault_is_still_sent() -> None:
    with Running() as running:
        sock = running.connect(b"hello\n")
        assert sock.recv(100) == b"hello\n"
        sock.sendall(b"x\n")
        assert ending(sock)[1] == "reset"


@pytest.mark.parametrize("said", [b"", b"a"])
def test_a_deadline_is_for_the_whole_frame_so_that_a_dribble_earns_no_time(said: bytes) -> None:
    with Running() as running, running.connect() as sock:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < began + 5:
                sock.sendall(said)
                sock.settimeout(0.05)
                try:
                    assert sock.recv(1) == b"", "nothing is said to a dribbler"
                    raise ConnectionError("closed, not reset")
                except TimeoutError:
                    continue
        assert 0.95 < time.monotonic() - began < 1.5
        assert running.await_ends(1) == ["deadline"]


def test_each_state_has_its_own_deadline() -> None:
    with Running() as running:
        sock = running.connect(b"hello\n")
        assert sock.recv(100) == b"hello\n"
        seconds, how = seconds_to_end(sock)
        assert how == "reset" and 1.4 < seconds < 2.0


def test_a_client_that_takes_nothing_is_reset_after_the_time_for_writing_and_no_earlier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coffer.server.loop.WRITE_SECONDS", 1.5)
    with Running(second=1.0) as running:
        in_kernel = running.connect(b"big 65000\n", room=4096)
        in_loop = running.connect(b"big 9000000\n", room=4096)
        began = time.monotonic()
        assert running.await_ends(2) == ["deadline: it does not take its answer"] * 2
        assert 1.4 < time.monotonic() - began < 2.0
        in_kernel.close()
        in_loop.close()


def test_a_client_that_takes_its_answer_slowly_has_its_whole_time_afterwards() -> None:
    with Running(second=1.0) as running:
        sock = running.connect(b"big 65000\n", room=4096)
        time.sleep(1.4)
        assert running.ends == []
        taken = 0
        while taken < 65000:
            taken += len(sock.recv(65536))
        sock.sendall(b"bye\n")
        sock.close()
        assert running.await_ends(1) == [None]


def test_a_long_answer_comes_whole_however_slowly_it_is_read() -> None:
    with Running() as running:
        sock = running.connect(b"big 3000000\n", room=8192)
        taken = 0
        while taken < 3_000_000:
            taken += len(sock.recv(200_000))
        sock.sendall(b"bye\n")
        sock.close()
        assert running.await_ends(1) == [None]


def test_a_session_ends_after_its_time_whatever_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coffer.server.loop.SESSION_SECONDS", 1.2)
    with Running() as running, running.connect() as sock:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < began + 8:
                sock.sendall(b"on\n")
                time.sleep(0.1)
                if not sock.recv(100):
                    raise ConnectionError("closed")
        assert 1.1 < time.monotonic() - began < 1.8


# ---- full


def test_at_the_cap_the_one_that_is_silent_longest_gives_way() -> None:
    with Running(most=2) as running:
        first, second = running.connect(), running.connect()
        assert is_served(running.connect())
        assert ending(first) == (b"", "reset")
        assert running.ends[0][1] == "gave way: the server is full (--max-connections)"
        second.close()


def test_at_the_cap_whoever_has_begun_and_not_gone_on_for_a_second_gives_way() -> None:
    """A beginning can be played again by anybody who once heard one."""
    with Running(most=1, second=5.0) as running:
        began = time.monotonic()
        first = running.connect(b"hello\n")
        assert first.recv(100) == b"hello\n"
        assert is_served(running.connect())
        assert 0.9 < time.monotonic() - began < 2.0
        assert ending(first) == (b"", "reset")
        assert running.ends[0][1] == "gave way: the server is full (--max-connections)"


def test_nobody_gives_way_to_one_who_is_refused() -> None:
    with Running(most=1, sources=Sources(0, 1, 1)) as running:
        assert ending(running.connect(b"x\n", source="127.0.0.2")) == (b"", "reset")
        silent = running.connect()
        assert ending(running.connect(source="127.0.0.2")) == (b"", "reset")
        silent.sendall(b"hello\n")
        assert silent.recv(100) == b"hello\n"
        silent.close()


def test_at_the_cap_nobody_who_has_shown_to_be_there_gives_way_and_the_next_waits_for_a_place() -> None:
    with Running(most=1, third=5.0) as running:
        sock = running.connect(b"hello\n")
        assert sock.recv(100) == b"hello\n"
        sock.sendall(b"again\n")
        assert sock.recv(100) == b"again\n"
        waiting = running.connect(b"hello\n")
        waiting.settimeout(1.3)
        with pytest.raises(TimeoutError):
            waiting.recv(100)
        sock.close()
        assert waiting.recv(100) == b"hello\n"
        waiting.close()


def test_giving_way_and_speaking_in_the_same_moment_harms_nobody() -> None:
    """The connection that is dropped has an event of its own still to come in the same round."""
    with Running(most=1) as running:
        socks = [running.connect()]
        for _ in range(5):
            busy, ready = threading.Event(), threading.Event()
            running.later(lambda busy=busy, ready=ready: busy.set() or ready.wait())
            busy.wait()
            socks.append(running.connect())
            socks[-2].sendall(b"hel")
            ready.set()
        assert is_served(running.connect())
        for sock in socks:
            sock.close()


def test_out_of_descriptors_connections_are_shed_and_the_next_is_served() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Running() as running:
        socks = [socket.socket() for _ in range(12)]
        taken = take_descriptors_up_to(socks[-1].fileno())
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 4, hard))
        try:
            for sock in socks:
                sock.settimeout(3)
                sock.connect(running.address)
            time.sleep(0.5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(running.made) == 3
        endings = [ending(sock) for sock in socks[3:]]
        assert endings.count((b"", "reset")) == 9
        assert is_served(running.connect())
        for sock in socks:
            sock.close()
        for fd in taken:
            os.close(fd)


def take_descriptors_up_to(number: int) -> list[int]:
    """Take the free descriptors below ``number`` and one above, so that only those above the last are left."""
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < number:
        taken.append(os.open(os.devnull, os.O_RDONLY))
    return taken


def test_a_listener_that_is_none_is_our_own_mistake_and_crashes() -> None:
    with socket.socket() as nothing:
        nothing.setblocking(False)
        made = doors.Doors([], selectors.DefaultSelector(), lambda: True, lambda *_: None)
        with pytest.raises(OSError):
            made._accept(doors.Door(nothing))


# ---- sources


def test_a_source_has_only_so_many_connections_and_others_have_theirs() -> None:
    with Running(sources=Sources(2, 0, 0)) as running:
        kept = [running.connect() for _ in range(2)]
        assert ending(running.connect()) == (b"", "reset")
        assert is_served(running.connect(source="127.0.0.2"))
        kept.pop().close()
        running.await_ends(3)
        assert is_served(running.connect())
        kept.pop().close()


def test_a_source_whose_allowance_is_used_up_is_reset_unheard_until_it_is_refilled() -> None:
    with Running(sources=Sources(0, 1, 2)) as running:
        for _ in range(2):
            assert ending(running.connect(b"x\n")) == (b"", "reset")
        assert not is_served(running.connect())
        assert running.made[-1].state == "first", "not one byte of it was looked at"
        assert is_served(running.connect(source="127.0.0.3"))
        time.sleep(1.1)
        assert is_served(running.connect())


def test_who_begins_and_never_goes_on_uses_up_the_allowance_and_who_goes_on_does_not() -> None:
    with Running(sources=Sources(0, 1, 2)) as running:
        for _ in range(3):
            with running.connect(b"hello\n") as sock:
                assert sock.recv(100) == b"hello\n"
                sock.sendall(b"bye\n")
        running.await_ends(3)
        for _ in range(2):
            with running.connect(b"hello\n") as sock:
                assert sock.recv(100) == b"hello\n"
        running.await_ends(5)
        assert not is_served(running.connect())


def test_whoever_connects_and_goes_costs_nothing_of_the_allowance() -> None:
    with Running(sources=Sources(0, 1, 2)) as running:
        for _ in range(5):
            running.connect(b"hel").close()
        running.await_ends(5)
        assert is_served(running.connect())


# ---- the clock


def test_after_a_long_sleep_what_is_due_is_done_before_anybody_is_heard() -> None:
    """So no session gets an epoch's key that is over, however long the machine was suspended."""
    seen: list[str] = []
    with Running(first=10.0) as running:
        sock = running.connect()
        running.within(lambda: running.loop.call_every(1.0, lambda: seen.append(running.made[-1].state)))
        asleep, awake = threading.Event(), threading.Event()
        running.later(lambda: asleep.set() or awake.wait())
        asleep.wait()
        sock.sendall(b"hello\n")
        time.sleep(1.2)
        awake.set()
        assert sock.recv(100) == b"hello\n"
        sock.close()
        assert seen == ["first"]


# ---- the end


def test_a_drained_loop_takes_what_is_queued_refuses_the_rest_and_ends_with_the_last() -> None:
    with Running() as running:
        inside = running.connect(b"hello\n")
        assert inside.recv(100) == b"hello\n"
        queued: list[socket.socket] = []

        def drain() -> None:
            queued.append(running.connect(b"late\n"))
            running.loop.drain(5)

        running.within(drain)
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        assert queued[0].recv(100) == b"late\n"
        for sock in (inside, queued[0]):
            sock.sendall(b"bye\n")
            sock.close()
        limit = time.monotonic() + 3
        while not running.is_over:
            assert time.monotonic() < limit


def test_a_drain_has_an_end_even_when_a_client_has_none() -> None:
    with Running(first=60.0) as running:
        inside = running.connect()
        began = time.monotonic()
        running.within(lambda: running.loop.drain(1.0))
        while not running.is_over:
            assert time.monotonic() < began + 3
        assert time.monotonic() - began > 0.9
        inside.close()


def test_many_at_once_are_all_served() -> None:
    def once(number: int) -> bytes:
        said = b"%d\n" % number
        with running.connect(said) as sock:
            assert sock.recv(100) == said
            sock.sendall(b"bye\n")
        return said

    with Running(most=1000) as running, ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(once, range(300)))) == 300, running.ends
        assert running.await_ends(300) == [None] * 300
