"""How long the server waits for what, and a wheel that finds whoever is late.

The seconds are those of docs/protocol.md, and a test compares the two. The clock goes on through suspend.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

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

TICKS_A_SECOND = 8
NEVER = -1


def now() -> float:
    """Seconds on a monotonic clock that goes on through suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Deadlines:
    """Who waits until when, found an eighth of a second late at the most.

    An item stands in the slot of the earliest deadline it had; putting a deadline off only changes
    ``item.deadline``, and the item moves on when its slot comes due. So a deadline costs one comparison.
    """

    def __init__(self) -> None:
        self._slots: dict[int, set[Waiting]] = {}
        self._done = int(now() * TICKS_A_SECOND)

    def __bool__(self) -> bool:
        return bool(self._slots)

    def set(self, item: Waiting, deadline: float) -> None:
        """Give ``item`` a new deadline, sooner or later than the one it has."""
        item.deadline = deadline
        tick = int(deadline * TICKS_A_SECOND) + 1
        if item.tick == NEVER or tick < item.tick:
            self.drop(item)
            self._place(item, tick)

    def drop(self, item: Waiting) -> None:
        """Forget ``item``."""
        if item.tick != NEVER:
            slot = self._slots[item.tick]
            slot.discard(item)
            if not slot:
                del self._slots[item.tick]
            item.tick = NEVER

    def due(self, moment: float) -> list[Waiting]:
        """Return, and forget, every item whose deadline is past."""
        late: list[Waiting] = []
        reached = int(moment * TICKS_A_SECOND)
        for tick in range(self._done + 1, reached + 1) if self._slots else ():
            for item in self._slots.pop(tick, ()):
                item.tick = NEVER
                if item.deadline <= moment:
                    late.append(item)
                else:
                    self._place(item, int(item.deadline * TICKS_A_SECOND) + 1)
        self._done = reached
        return late

    def _place(self, item: Waiting, tick: int) -> None:
        item.tick = max(tick, self._done + 1)
        self._slots.setdefault(item.tick, set()).add(item)
