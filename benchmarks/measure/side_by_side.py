"""The one way things are compared here: in turn, round after round, in one run, by their medians."""

from __future__ import annotations

import time
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def interleave(acts: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every act once a round and return what each gave, round by round."""
    given: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            given[name].append(act())
    return given


def seconds_a_call(act: Callable[[], object], calls: int) -> Callable[[], float]:
    """An act for ``interleave``: the seconds that one call takes, over so many calls."""

    def measured() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            act()
        return (time.perf_counter() - start) / calls

    return measured


def ratio(given: dict[str, list[float]], ours: str, theirs: str) -> float:
    """The median of ours over theirs, pair by pair, so that a machine that slows down slows both."""
    return median(a / b for a, b in zip(given[ours], given[theirs], strict=True))
