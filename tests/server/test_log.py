"""The log: ten lines a second about peers, over all workers; a line never stops the server or steers a terminal."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator

import pytest

from coffer.server import log
from coffer.server.log import Log


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What was written since the last call; the pipe is small."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
    monkeypatch.setattr(log, "STDERR", writer)

    def said() -> list[str]:
        try:
            return os.read(reader, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []

    yield said
    os.close(reader)
    os.close(writer)


def test_a_line_is_one_line_whatever_it_holds(said: Callable[[], list[str]]) -> None:
    Log().say("a\nb\x1b[2J\udcff")
    assert said() == ["coffer-server: a\\nb\\x1b[2J\\udcff"]


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 10, 11, 16, 64])
def test_all_workers_together_say_ten_lines_a_second_and_each_says_some(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[int] = []
    logs = []
    for number in range(workers):
        each = Log()
        each.share(number, workers)
        monkeypatch.setattr(each, "say", lambda _, number=number: lines.append(number), raising=False)
        logs.append(each)
    speakers = set()
    for second in range(20):
        lines.clear()
        for each in logs:
            for part in range(30):
                each.say_of_peer("x", second + part / 30)
        assert len(lines) <= 10
        speakers.update(lines)
    assert speakers == set(range(workers))


def test_what_was_left_out_is_counted_on_the_next_line(said: Callable[[], list[str]]) -> None:
    each = Log()
    each.share(0, 10)
    for moment in (5.0, 5.1, 5.2, 6.0, 7.0):
        each.say_of_peer("fault", moment)
    assert said() == [
        "coffer-server: fault",
        "coffer-server: fault (before it, 2 more lines about peers were left out)",
        "coffer-server: fault",
    ]


def test_a_full_pipe_loses_lines_and_no_time(said: Callable[[], list[str]]) -> None:
    each = Log()
    began = time.monotonic()
    for _ in range(200):
        each.say("x" * 100)
    assert time.monotonic() - began < 1
    assert 0 < len(said()) < 200
    each.say("again")
    assert said() == ["coffer-server: again"]


def test_a_reader_that_is_gone_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(log, "STDERR", writer)
    Log().say("nobody hears")
    os.close(writer)
