"""``python -m benchmarks.measure [quick]``: every figure in one run, into benchmarks/RESULTS.md.

``quick`` leaves out growth and the peers, which take most of the time, and writes nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.conftest import write_key
from benchmarks.measure import calls, peers, sessions
from benchmarks.measure.place import Place
from benchmarks.measure.plots import bars
from benchmarks.measure.report import Grid, Row, machine, markdown
from benchmarks.measure.servers import coffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
PLOTS = Path(__file__).parents[1] / "plots"


def start_up() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), 1)
        secret = place.clients.read_text().split()[0].removeprefix("secret=")
        write_key(place.client_key, bytes.fromhex(secret))
        with coffer(place) as server:
            return calls.start_up(f"coffer://{place.server}@{server.address}", place.client_key)


SIZES, WIDTHS = "By the size of a shard", "By sessions at once"
PEERS = "Beside what people would pick instead"
PARTS: dict[str, Callable[[], Sequence[Row | Grid]]] = {
    "Single calls": lambda: [*calls.frames(), *calls.boxes(), *calls.bindings()],
    "Starting a program": start_up,
    "Sessions": lambda: [*sessions.against_limit(), *sessions.idle()],
    "Loading": sessions.loading,
}
LONG_PARTS: dict[str, Callable[[], Sequence[Row | Grid]]] = {
    SIZES: lambda: [sessions.sizes()],
    WIDTHS: lambda: [sessions.widths()],
    PEERS: peers.compare,
    "By clients in the definition": sessions.growth,
}


def main(quick: bool) -> None:
    """Measure, print as it goes, and write the results unless it was quick."""
    parts = PARTS if quick else {**PARTS, **LONG_PARTS}
    text = f"Measured on {time.strftime('%Y-%m-%d')} by `make measure`, in one run.\n\nMachine: {machine()}.\n"
    measured: dict[str, Sequence[Row | Grid]] = {}
    for name, part in parts.items():
        figures = measured[name] = part()
        text += f"\n## {name}\n\n{markdown(figures)}"
        print(f"\n## {name}\n\n{markdown(figures)}", flush=True)
    if not quick:
        before, mark, after = RESULTS.read_text().partition("<!-- measured -->\n")
        _, end, after = after.partition("<!-- /measured -->\n")
        RESULTS.write_text(before + mark + text + end + after)
        draw({name: figures[-1] for name, figures in measured.items() if isinstance(figures[-1], Grid)})


def draw(grids: Mapping[str, Grid]) -> None:
    """The plots of RESULTS.md: the server's CPU beside the peers, by the size of a shard, by how many at once."""
    PLOTS.mkdir(exist_ok=True)
    for name, file, title in (
        (PEERS, "peers.svg", "Server CPU of one fetch"),
        (SIZES, "sizes.svg", "Server CPU of a session"),
        (WIDTHS, "widths.svg", "Server CPU of a session"),
    ):
        bars(PLOTS / file, title, grids[name].column(0), "us")


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
