"""Rows of figures, their targets, and the table they make."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from coffer._core import LIBSODIUM_VERSION


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what it is, what was measured, and what was to be reached (``least``: at least, else at most)."""

    what: str
    figure: float
    target: float | None = None
    least: bool = False
    detail: str = ""

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.figure >= self.target if self.least else self.figure <= self.target

    def line(self) -> str:
        """The row in Markdown."""
        target = "" if self.target is None else f"{'≥' if self.least else '≤'} {self.target:g}"
        verdict = {None: "", True: "yes", False: "**no**"}[self.reached]
        return f"| {self.what} | {self.figure:.3g} | {target} | {verdict} | {self.detail} |"


def machine() -> str:
    """The machine in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, libsodium {LIBSODIUM_VERSION}"
    )


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    head = "| figure | measured | target | reached | |\n|---|---|---|---|---|\n"
    return head + "\n".join(row.line() for row in rows) + "\n"
