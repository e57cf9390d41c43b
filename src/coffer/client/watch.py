"""Looking again and again whether a shard holds other values, beside whatever else goes on.

Not here: what is done about it (``supervise``).

Rule 1: a look that fails changes nothing. That is told once, and once more when a look succeeds again.
"""

from __future__ import annotations

import time
from random import uniform
from threading import Thread

from coffer.errors import CofferError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .delivery import Delivery

JITTER = 0.1
# How often a look that is under way is looked after.
UNDER_WAY_SECONDS = 0.05


class Watch:
    """Calls ``look`` every ``interval`` seconds or so, in a thread; ``take`` returns what differs from ``current``."""

    def __init__(
        self, current: Delivery, look: Callable[[], Delivery], interval: float, tell: Callable[[str], None]
    ) -> None:
        self.current = current
        self._look = look
        self._interval = interval
        self._tell = tell
        self._looking: _Looking | None = None
        self._is_failing = False
        self._next = self._schedule()

    def seconds_to_wait(self) -> float:
        """Return after how long ``take`` should be called again."""
        return UNDER_WAY_SECONDS if self._looking else max(0.0, self._next - time.monotonic())

    def take(self) -> Delivery | None:
        """Return another delivery than ``current``, or None; begin a look if it is time."""
        if self._looking is None:
            if time.monotonic() >= self._next:
                self._looking = _Looking(self._look)
                self._looking.start()
            return None
        if self._looking.is_alive():
            return None
        looked, self._looking = self._looking, None
        self._next = self._schedule()
        self._tell_of(looked.problem)
        return None if looked.delivery == self.current else looked.delivery

    def _tell_of(self, problem: CofferError | None) -> None:
        if problem is not None and not self._is_failing:
            self._tell(f"{problem}; the command goes on with the values it has")
        if problem is None and self._is_failing:
            self._tell("the values can be looked at again")
        self._is_failing = problem is not None

    def _schedule(self) -> float:
        return time.monotonic() + self._interval * uniform(1 - JITTER, 1 + JITTER)


class _Looking(Thread):
    """One look. When it is over, either ``delivery`` or ``problem`` is there."""

    def __init__(self, look: Callable[[], Delivery]) -> None:
        super().__init__(daemon=True)
        self._look = look
        self.delivery: Delivery | None = None
        self.problem: CofferError | None = None

    def run(self) -> None:
        try:
            self.delivery = self._look()
        except CofferError as problem:
            self.problem = problem
