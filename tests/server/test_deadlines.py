"""Deadlines: nobody is found early, or more than a thirty-second of a second late.

Not here: which deadlines there are, which tests/test_docs.py compares with docs/protocol.md.
"""

from __future__ import annotations

import random

import pytest

from coffer.server import deadlines
from coffer.server.deadlines import NEVER, Deadlines


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
