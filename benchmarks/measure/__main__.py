"""``python -m benchmarks.measure [quick]``: every figure in one run, into benchmarks/RESULTS.md.

``quick`` leaves out the definition of a million clients and the peers, which take most of the time.
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
from benchmarks.measure.report import Row, machine, table
from benchmarks.measure.servers import coffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
PLOTS = Path(__file__).parents[1] / "plots"


def start_up() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), 1)
        secret = place.clients.read_text().split()[0].removeprefix("secret=")
        write_key(place.client_key, bytes.fromhex(secret))
        with coffer(place) as server:
            return calls.start_up(f"coffer://{place.server}@{server.address}", place.client_key)


PARTS: dict[str, Callable[[], list[Row]]] = {
    "Single calls": lambda: [*calls.frames(), *calls.boxes(), *calls.bindings()],
    "Starting a program": start_up,
    "Sessions": lambda: [*sessions.against_limit(), *sessions.idle()],
    "Loading": sessions.loading,
}
PEERS = "Beside what people would pick instead"
LONG_PARTS: dict[str, Callable[[], list[Row]]] = {
    "A million clients": lambda: sessions.growth(1_000_000),
    PEERS: peers.compare,
}


def main(quick: bool) -> None:
    """Measure, print as it goes, and write the results unless it was quick."""
    parts = PARTS if quick else {**PARTS, **LONG_PARTS}
    text = f"Measured on {time.strftime('%Y-%m-%d')} by `make measure`, in one run.\n\nMachine: {machine()}.\n"
    measured: dict[str, list[Row]] = {}
    for name, part in parts.items():
        rows = measured[name] = part()
        text += f"\n## {name}\n\n{table(rows)}"
        print(f"\n## {name}\n\n{table(rows)}", flush=True)
    if not quick:
        before, mark, after = RESULTS.read_text().partition("<!-- measured -->\n")
        _, end, after = after.partition("<!-- /measured -->\n")
        RESULTS.write_text(before + mark + text + end + after)
        draw(measured)


def draw(measured: dict[str, list[Row]]) -> None:
    """The plots of RESULTS.md: beside the peers, by the size of a shard, by how many sessions at once."""
    PLOTS.mkdir(exist_ok=True)
    beside = {row.what.partition(",")[0]: row.figure for row in measured[PEERS]}
    bars(PLOTS / "peers.svg", "Server CPU of one fetch, in coffer's", {"coffer": 1.0, **beside}, "x", "coffer")
    bars(PLOTS / "sizes.svg", "Server CPU of a session, by shard", sessions.sizes(), "us", "coffer")
    bars(PLOTS / "widths.svg", "Server CPU of a session, by sessions at once", sessions.widths(), "us", "coffer")


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
