"""The master's order of things, where processes cannot be made to meet on time: several events of one round."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer._core import Keypair
from coffer.errors import OperatorError
from coffer.identity import format_id
from coffer.server import master as room
from coffer.server import table
from coffer.server.cli import serve_parser
from coffer.server.loader import Loaded
from coffer.server.log import Log
from coffer.server.master import Master
from coffer.server.settings import load_settings
from coffer.server.state import Stamp


class Lines(Log):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """A master that has not begun to load."""
    flags = [
        "--key",
        "none",
        "--companion",
        format_id(Keypair.generate().public),
        "--definition",
        str(tmp_path / "none"),
    ]
    made = Master(load_settings(serve_parser().parse_args(flags)), (Keypair.generate(),), [], Lines())
    made._wake, made._wake_end = socket.socketpair()
    yield made
    made._wake.close()
    made._wake_end.close()
    made._selector.close()


def lines(master: Master) -> list[str]:
    assert isinstance(master._log, Lines)
    return master._log.lines


def hear(master: Master, *numbers: int) -> None:
    master._wake_end.send(bytes(numbers))
    master._hear_signals()


def test_an_end_and_the_death_of_the_last_worker_in_one_round_are_one_end(master: Master) -> None:
    hear(master, signal.SIGTERM, signal.SIGCHLD)
    assert lines(master) == ["draining", "stopped"] and not master._running


def test_a_byte_that_is_no_signal_of_ours_does_nothing(master: Master) -> None:
    hear(master, 10, 80, 255)
    assert lines(master) == [] and master._running


def test_a_load_that_was_stopped_in_this_round_is_not_heard_any_more(master: Master) -> None:
    master._hear_loader()
    assert master._running and master._verdict is None


def test_whoever_asks_while_it_stops_is_told(master: Master, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    master._asking.append(theirs)
    hear(master, signal.SIGTERM)
    with ours:
        assert ours.recv(1000) == b'{"message": "the server is stopping", "hint": null, "code": 69}\n'
    assert master._asking == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(12, "Cannot allocate memory"), "Cannot allocate memory"), (ValueError("not a table"), "not a table")],
)
def test_a_table_that_cannot_be_mapped_is_a_refusal_and_no_end(
    master: Master, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(table, "map_sealed", fail)
    fd = os.memfd_create("table")
    with pytest.raises(OperatorError, match=f"^{tmp_path}/none: its table cannot be used: {reason}$"):
        master._take(Loaded(Stamp("x", 1, "y"), 1, 1, False, []), fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(fd)


def test_a_file_that_comes_and_goes_is_seen(master: Master, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loads: list[object] = []
    monkeypatch.setattr(master, "_reload", lambda: loads.append(master._seen))
    master._look_for_change()
    assert not loads, "nothing was there, and nothing is"
    (tmp_path / "none").write_text("1")
    master._look_for_change()
    assert len(loads) == 1
    master._seen = master._look()
    master._look_for_change()
    (tmp_path / "none").unlink()
    master._look_for_change()
    assert len(loads) == 1, "a file that is away is on its way"


def test_it_sleeps_until_the_first_thing_that_is_due(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [100.0]
    monkeypatch.setattr(room, "now", lambda: moment[0])
    assert master._pause_seconds() is None, "nothing is: a signal wakes it"
    monkeypatch.setattr(master, "_ending", 103.0)
    assert master._pause_seconds() == 3.0
    looks: list[float] = []
    master._timers.every(1.0, lambda: looks.append(moment[0]), moment[0])
    assert master._pause_seconds() == 1.0
    moment[0] = 101.5
    assert master._pause_seconds() == 0.0
    master._look_at_the_clock()
    assert looks == [101.5] and master._pause_seconds() == 1.0
