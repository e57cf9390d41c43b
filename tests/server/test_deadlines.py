"""Deadlines: nobody is found early, or more than a thirty-second of a second late. Timers go on until the end.

Not here: which deadlines there are, which tests/test_docs.py compares with docs/protocol.md.
"""

from __future__ import annotations

import random

import pytest

from coffer.server import deadlines
from coffer.server.deadlines import NEVER, Deadlines, Timers


class Item:
    def __init__(self) -> None:
        self.deadline = 0.0
        self.tick = NEVER


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(deadlines, "now", lambda: 1000.0)
    return 1000.0


def test_nobody_is_found_early_and_nobody_much_later(start: float) -> None:
    chance = random.Random(1)
    wheel, waiting = Deadlines(), set()
    for _ in range(500):
        item = Item()
        wheel.set(item, start + chance.uniform(0, 6), start)
        waiting.add(item)
    moment = start
    while waiting:
        moment += chance.choice((0.01, 0.05, 0.125, 0.3))
        for item in wheel.due(moment):
            assert item.deadline <= moment
            waiting.remove(item)
        assert all(item.deadline > moment - 0.032 for item in waiting)
    assert not wheel


def test_a_deadline_that_is_moved_away_by_assigning_it_counts(start: float) -> None:
    wheel, item = Deadlines(), Item()
    wheel.set(item, start + 1, start)
    item.deadline = start + 3
    assert wheel.due(start + 2.9) == []
    assert wheel.due(start + 3.2) == [item]


def test_a_deadline_that_is_set_nearer_counts_and_a_dropped_one_never(start: float) -> None:
    wheel, near, gone = Deadlines(), Item(), Item()
    for item in (near, gone):
        wheel.set(item, start + 5, start)
    wheel.set(near, start + 0.2, start)
    wheel.drop(gone)
    wheel.drop(gone)
    assert wheel.due(start + 0.4) == [near]
    assert not wheel


def test_a_long_sleep_finds_everyone_at_once(start: float) -> None:
    wheel, items = Deadlines(), [Item() for _ in range(10)]
    for number, item in enumerate(items):
        wheel.set(item, start + number, start)
    assert set(wheel.due(start + 3600)) == set(items)


def test_an_empty_wheel_has_nobody_due(start: float) -> None:
    assert Deadlines().due(start + 1e6) == []


def test_timers_go_on_and_a_long_sleep_is_made_up_for_once() -> None:
    timers, moment = Timers(), 100.0
    rung: list[float] = []
    timers.every(1.0, lambda: rung.append(moment), moment)
    for step in (0.5, 0.5, 0.9, 0.1, 5.0):
        moment += step
        timers.run(moment)
    assert rung == [101.0, 102.0, 107.0]


def test_the_next_of_all_timers_is_known() -> None:
    timers = Timers()
    timers.run(1e9)
    assert timers.next_at is None
    timers.every(60.0, lambda: None, 100.0)
    assert timers.next_at == 160.0
    timers.every(10.0, lambda: None, 100.0)
    assert timers.next_at == 110.0
    timers.run(155.0)
    assert timers.next_at == 160.0
    timers.run(160.0)
    assert timers.next_at == 165.0


def test_a_timer_may_start_another() -> None:
    timers, rung = Timers(), []
    timers.every(10.0, lambda: timers.every(1.0, lambda: rung.append("rung"), 110.0), 100.0)
    timers.run(110.0)
    assert not rung and timers.next_at == 111.0
    timers.run(111.0)
    assert rung == ["rung"]
