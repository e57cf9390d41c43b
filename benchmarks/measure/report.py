"""Figures with their targets, figures beside each other, and the Markdown they make."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from coffer._core import LIBSODIUM_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


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
        return f"| {self.what} | {shown(self.figure)} | {target} | {verdict} | {self.detail} |"


@dataclass(frozen=True, slots=True)
class Grid:
    """Figures beside each other: the columns, and lines of a name and its figures, None where there is none."""

    columns: tuple[str, ...]
    lines: list[tuple[str, *tuple[float | None, ...]]]

    def column(self, number: int) -> dict[str, float]:
        """The figures of one column, by the names of their lines, where there are any."""
        return {name: figures[number] for name, *figures in self.lines if figures[number] is not None}

    def text(self) -> str:
        """The grid in Markdown."""
        head = f"| {' | '.join(('', *self.columns))} |\n|---|{'--:|' * len(self.columns)}\n"
        return head + "".join(f"| {' | '.join((name, *map(shown, figures)))} |\n" for name, *figures in self.lines)


def shown(figure: float | None) -> str:
    """Three digits that count, and none in the way of those."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


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


def markdown(figures: Sequence[Row | Grid]) -> str:
    """The rows as one table, then each grid as its own."""
    rows = [figure.line() for figure in figures if isinstance(figure, Row)]
    head = "| figure | measured | target | reached | |\n|---|---|---|---|---|\n"
    tables = [head + "\n".join(rows) + "\n"] if rows else []
    return "\n".join([*tables, *(figure.text() for figure in figures if isinstance(figure, Grid))])
