"""How much of everything: a little with every run of the tests, all of it when COFFER_FAULTS is ``full``."""

import os
from typing import TypeVar

Size = TypeVar("Size")

FULL = os.environ.get("COFFER_FAULTS") == "full"


def sized(small: Size, full: Size) -> Size:
    return full if FULL else small
