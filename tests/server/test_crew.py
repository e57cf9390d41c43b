"""The crew: every post is filled, whoever dies is replaced with growing pauses, and nobody dies twice."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from coffer.server import child, crew
from coffer.server.crew import Crew
from coffer.server.deadlines import now
from coffer.server.log import Log
from coffer.server.worker import DRAIN, TAKE_TABLE, TOOK_TABLE, TOOK_UNLOCKED


class Lines(Log):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def honest(number: int, channel: socket.socket) -> int:
    """Take tables until told to drain; exit with 0."""
    while True:
        word, fds, _, _ = socket.recv_fds(channel, 64, 1)
        if word != TAKE_TABLE:
            return 0 if word == DRAIN else 1
        os.close(fds[0])
        channel.send(TOOK_TABLE if number else TOOK_UNLOCKED)


class Office:
    """A crew, the selector that it hears by, and how often it has settled."""

    def __init__(self, work: Callable[[int, socket.socket], int], size: int = 2) -> None:
        self.selector = selectors.DefaultSelector()
        self.log = Lines()
        self.settled = 0
        self.crew = Crew(size, self.selector, self.log, work, self._settle)

    def _settle(self) -> None:
        self.settled += 1

    def until(self, holds: Callable[[], object]) -> None:
        limit = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < limit, self.log.lines
            for key, _ in self.selector.select(0.01):
                key.data()
            self.crew.reap()
            self.crew.look_at_the_clock(now())


@pytest.fixture
def office() -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def office(work: Callable[[int, socket.socket], int] = honest, size: int = 2) -> Office:
        made.append(Office(work, size))
        return made[-1]

    yield office
    for each in made:
        each.crew.kill()
        each.until(lambda each=each: not each.crew)
        each.selector.close()


def table() -> int:
    return os.memfd_create("table")


def pids(each: Office) -> list[int]:
    return [post.pid for post in each.crew._posts]


def test_every_post_is_filled_with_the_first_table_and_has_taken_it(office: Callable[..., Office]) -> None:
    each = office()
    each.crew.serve(table())
    assert len(each.crew) == 2 and not each.crew.has_taken
    each.until(lambda: each.crew.has_taken)
    assert not each.crew.memory_is_locked, "one of them said so"


def test_every_worker_has_to_take_a_new_table_even_of_the_same_serial(office: Callable[..., Office]) -> None:
    each = office()
    each.crew.serve(table())
    each.until(lambda: each.crew.has_taken)
    each.crew.serve(table())
    assert not each.crew.has_taken
    each.until(lambda: each.crew.has_taken)


def test_whoever_dies_is_replaced_and_said_how(office: Callable[..., Office]) -> None:
    each = office(size=1)
    each.crew.serve(table())
    each.until(lambda: each.crew.has_taken)
    (old,) = pids(each)
    os.kill(old, signal.SIGKILL)
    each.until(lambda: pids(each) not in ([old], [0]) and each.crew.has_taken)
    assert each.log.lines == ["a worker died (SIGKILL); a new one starts in 0.1 s"]


def test_a_dead_worker_is_not_waited_for(office: Callable[..., Office]) -> None:
    each = office(lambda *_: 3, size=1)
    each.crew.serve(table())
    each.until(lambda: each.log.lines)
    assert each.crew.has_taken
    assert each.log.lines[0].startswith("a worker died (exit code 3); ")


def test_a_death_by_a_signal_without_a_name_is_told_by_its_number(office: Callable[..., Office]) -> None:
    each = office(lambda *_: os.kill(os.getpid(), signal.SIGRTMIN + 5) or 0, size=1)
    each.crew.serve(table())
    each.until(lambda: each.log.lines)
    assert each.log.lines[0].startswith(f"a worker died (signal {signal.SIGRTMIN + 5}); ")


def test_pauses_grow_up_to_five_seconds_and_it_is_said_when_it_keeps_happening(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = office(lambda *_: 3, size=1)
    each.crew.serve(table())
    for _ in range(8):
        each.until(lambda: each.crew._posts[0].restart_at is not None)
        each.crew.look_at_the_clock(now() + 100)
    each.until(lambda: len(each.log.lines) == 9)
    pauses = [line.rpartition("starts in ")[2] for line in each.log.lines]
    assert pauses == [f"{pause} s" for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, "5.0", "5.0", "5.0")]
    assert "in a row" not in each.log.lines[2]
    assert each.log.lines[3] == "a worker died (exit code 3), 4 times in a row; a new one starts in 0.8 s"
    monkeypatch.setattr(crew, "STEADY_SECONDS", 0.0)
    each.crew.look_at_the_clock(now() + 100)
    each.until(lambda: len(each.log.lines) == 10)
    assert each.log.lines[9].endswith("(exit code 3); a new one starts in 0.1 s"), "a long life makes good for all"


def test_a_worker_that_cannot_be_forked_is_tried_again(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(act: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    each = office(size=1)
    with monkeypatch.context() as patch:
        patch.setattr(child, "fork", fail)
        each.crew.serve(table())
    assert each.log.lines == ["a worker cannot start (Resource temporarily unavailable); a new one starts in 0.1 s"]
    each.until(lambda: len(each.crew) == 1 and each.crew.has_taken)


def test_a_worker_without_a_descriptor_for_its_channel_is_tried_again(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    each = office(size=1)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", fail)
        each.crew.serve(table())
    assert each.log.lines == ["a worker cannot start (Too many open files); a new one starts in 0.1 s"]
    each.until(lambda: len(each.crew) == 1 and each.crew.has_taken)


def test_a_worker_that_hangs_is_ended_and_replaced(office: Callable[..., Office]) -> None:
    each = office(size=1)
    each.crew.serve(table())
    each.until(lambda: each.crew.has_taken)
    (stuck,) = pids(each)
    os.kill(stuck, signal.SIGSTOP)
    each.crew.serve(table())
    each.crew.look_at_the_clock(now() + 9)
    assert not each.crew.has_taken and not each.log.lines
    each.crew.look_at_the_clock(now() + 10)
    assert each.crew.has_taken, "nobody waits for it any more"
    each.until(lambda: pids(each) not in ([stuck], [0]))
    assert each.log.lines == [
        "a worker hangs; it is ended",
        "a worker died (SIGKILL); a new one starts in 0.1 s",
    ]


def test_a_death_may_be_heard_in_either_order(office: Callable[..., Office]) -> None:
    """SIGCHLD and the end of the channel come in one round, in the order that the kernel likes."""
    each = office(size=2)
    each.crew.serve(table())
    each.until(lambda: each.crew.has_taken)
    for pid in pids(each):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    first, second = each.crew._posts
    each.crew._hear(first)
    each.crew.reap()
    each.crew._hear(second)
    assert len(each.crew) == 0 and len(each.log.lines) == 2


def test_a_dismissed_crew_ends_and_is_not_replaced(office: Callable[..., Office]) -> None:
    each = office()
    each.crew.serve(table())
    each.until(lambda: each.crew.has_taken)
    each.crew.dismiss()
    each.until(lambda: not each.crew)
    assert each.log.lines == [] and each.crew.due_at is None


def test_a_child_that_fails_never_comes_back_into_its_parent(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise ValueError("what is in here is a value")

    pid = child.fork(fail)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == child.CRASHED
    assert "ValueError" in capfd.readouterr().err


def test_a_signal_to_the_whole_group_is_never_heard_a_second_time_through_a_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes at the worst moment: when the child is there and has done nothing yet."""
    heard, wakeup = socket.socketpair()
    heard.setblocking(False)
    wakeup.setblocking(False)
    fork = os.fork

    def fork_and_signal() -> int:
        pid = fork()
        if not pid:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
        return pid

    monkeypatch.setattr(os, "fork", fork_and_signal)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    old = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    signal.set_wakeup_fd(wakeup.fileno())
    try:
        _, status = os.waitpid(child.fork(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()) != before), 0)
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in old.items():
            signal.signal(number, handler)
    with heard, wakeup, pytest.raises(BlockingIOError):
        heard.recv(1)
    assert status == 0 and signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_child_keeps_only_what_it_is_told_to() -> None:
    kept, other = table(), table()

    def look() -> int:
        child.keep_only(kept)
        os.fstat(kept)
        try:
            os.fstat(other)
        except OSError:
            return 0
        return 1

    _, status = os.waitpid(child.fork(look), 0)
    os.close(kept)
    os.close(other)
    assert status == 0
