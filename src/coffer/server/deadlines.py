"""How long the server waits for what, a wheel that finds whoever is late, and what is done again and again.

The seconds are those of docs/protocol.md, and a test compares the two. The clock goes on through suspend.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Waiting(Protocol):
        deadline: float
        tick: int


HELLO_SECONDS = 5.0
GET_SECONDS = 5.0
WRITE_SECONDS = 5.0
BYE_SECONDS = 2.0
CLOSE_SECONDS = 1.0
SESSION_SECONDS = 15.0
EPOCH_SECONDS = 60.0

TICKS_A_SECOND = 32
LOOK_SECONDS = 1.0
NEVER = -1


def now() -> float:
    """Seconds on a monotonic clock that goes on through suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Deadlines:
    """Who waits until when, found a thirty-second of a second late at the most.

    Every item is looked at one second after the last look, when its time comes or at ``item.deadline``. So a
    deadline that is at least a second away is set by assigning it, which costs nothing on the way of the
    bytes; one that is nearer has to be set with ``set``.
    """

    def __init__(self) -> None:
        self._slots: dict[int, set[Any]] = {}
        self._done = int(now() * TICKS_A_SECOND)

    def __bool__(self) -> bool:
        return bool(self._slots)

    def set(self, item: Waiting, deadline: float, moment: float) -> None:
        """Give ``item`` a deadline, however near."""
        self.drop(item)
        item.deadline = deadline
        self._place(item, min(deadline, moment + LOOK_SECONDS))

    def drop(self, item: Waiting) -> None:
        """Forget ``item``, if it is known."""
        tick = item.tick
        if tick != NEVER:
            slot = self._slots[tick]
            slot.discard(item)
            if not slot:
                del self._slots[tick]
            item.tick = NEVER

    def due(self, moment: float) -> list[Any]:
        """Return, and forget, every item whose deadline is past."""
        late = []
        reached = int(moment * TICKS_A_SECOND)
        for tick in range(self._done + 1, reached + 1) if self._slots else ():
            for item in self._slots.pop(tick, ()):
                item.tick = NEVER
                if item.deadline <= moment:
                    late.append(item)
                else:
                    self._place(item, min(item.deadline, moment + LOOK_SECONDS))
        self._done = reached
        return late

    def _place(self, item: Waiting, moment: float) -> None:
        tick = max(int(moment * TICKS_A_SECOND), self._done) + 1
        item.tick = tick
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = set()
        slot.add(item)


class Timers:
    """What is done every so many seconds. ``next_at`` is when the next of it is due, None without any.

    After a long sleep each is done once, not as often as it was missed.
    """

    def __init__(self) -> None:
        self._timers: list[tuple[float, float, Callable[[], None]]] = []
        self.next_at: float | None = None

    def every(self, seconds: float, act: Callable[[], None], moment: float) -> None:
        """Have ``act`` called every so many seconds, counted from ``moment``."""
        self._timers.append((moment + seconds, seconds, act))
        self._find_next()

    def run(self, moment: float) -> None:
        """Do what is due."""
        if self.next_at is None or moment < self.next_at:
            return
        for index, (when, seconds, act) in enumerate(self._timers):
            if when <= moment:
                self._timers[index] = (moment + seconds, seconds, act)
                act()
        self._find_next()

    def _find_next(self) -> None:
        self.next_at = min(when for when, _, _ in self._timers)
