"""Bars as SVG by hand: readable on light and dark, and small enough to keep in git."""

from __future__ import annotations

from xml.sax.saxutils import escape

from benchmarks.measure.report import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WIDTH, LABEL, BAR, GAP, TOP = 720, 270, 18, 10, 44
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 }
rect { fill: #8c959f } .ours { fill: #0969da }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } rect { fill: #6e7681 } .ours { fill: #4493f8 } }
"""


def bars(path: Path, title: str, lengths: Mapping[str, float], unit: str) -> None:
    """Write a bar for each length, with its figure behind it. Coffer's stand out; without peers all are coffer's."""
    longest = max(lengths.values())
    ours = "coffer" if "coffer" in lengths else ""
    height = TOP + len(lengths) * (BAR + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    for number, (label, length) in enumerate(lengths.items()):
        lines += _bar(TOP + number * (BAR + GAP), label, length, length / longest, unit, label.startswith(ours))
    path.write_text("\n".join([*lines, "</svg>", ""]))


def _bar(y: int, label: str, length: float, share: float, unit: str, ours: bool) -> list[str]:
    room = WIDTH - LABEL - 110
    kind = ' class="ours"' if ours else ""
    width = max(1.0, share * room)
    return [
        f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
        f'<rect{kind} x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>',
        f'<text x="{LABEL + width + 6:.1f}" y="{y + 14}">{shown(length)} {escape(unit)}</text>',
    ]
