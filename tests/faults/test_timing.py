"""How long a Hello whose inner box is wrong takes to be reset: the same for a client that is known, cold or unknown.

A stranger who holds S but no client's key sees only this time. The probes of the three classes are drawn at random,
one at a time, against one worker, so that whatever disturbs the machine disturbs all three alike, and what is compared
is medians. How sure a median is follows from the samples themselves. While a difference is too close to the limit to be
sure of its side, more probes are added to all there are; none is ever dropped. When they run out, the medians decide.
"""

import math
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from running import load

from coffer._core import Responder
from coffer.identity import load_keypair
from coffer.protocol import ServerSession
from peer.boxes import public
from peer.wire import Kind, outer_hello, pack_hello

from .fleet import Fleet
from .serving import SCRIPTS, Server
from .sizes import sized

Times = dict[str, list[float]]

PROBES = sized(6000, 50_000)
PROBES_LIMIT = sized(36_000, 300_000)
OPENED = sized(2000, 20_000)
LIMIT_US = 2.0
SURE = 3.0  # standard errors
# The control imports this folder and the second implementation; a path that is set already stays in front.
PATH = {"PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(Path(__file__).parents[1]))))}
CLASSES = {"known", "cold", "unknown"}
X25519_US = 10.0  # the least that the one X25519 the control leaves out takes anywhere


def median_error(times: Sequence[float]) -> float:
    """The standard error of a median, from the ranks that lie one standard error of a rank beside it."""
    ordered = sorted(times)
    middle, step = len(ordered) / 2, math.sqrt(len(ordered)) / 2
    return (ordered[math.ceil(middle + step)] - ordered[math.floor(middle - step)]) / 2


def widest_gap(times: Times) -> tuple[float, float]:
    """The largest difference between the medians of two classes, and its standard error, in microseconds."""
    gaps = []
    for one, other in combinations(times.values(), 2):
        gap = abs(statistics.median(one) - statistics.median(other))
        gaps.append((gap, math.hypot(median_error(one), median_error(other))))
    return max(gaps)


class Probing:
    """A server and probes of it, a round after another, all kept."""

    def __init__(self, server: Server, programs: Path) -> None:
        fleet = self._fleet = server.fleet
        self._server, self._programs = server, programs
        half = len(fleet.clients) // 2
        everyone = fleet.write_clients("dawn").read_text().splitlines(keepends=True)
        self._known, self._cold = fleet.folder / "known", fleet.folder / "cold"
        self._known.write_text("".join(everyone[:half]))
        self._cold.write_text("".join(everyone[half:]))
        self.times: Times = defaultdict(list)
        self.count = 0

    def round(self, probes: int) -> None:
        raw = self._fleet.folder / "raw"
        done = load(
            self._programs, self._server.target, "--clients", self._known, "--cold", self._cold,
            "--bad-inner", probes, "--raw", raw,
        )  # fmt: skip
        assert done.exit_code == 0, done
        assert (done.figures["bad_inner"]["not_reset"], done.figures["bad_inner"]["bytes_received"]) == (0, 0)
        for line in raw.read_text().splitlines():
            name, nanoseconds = line.split()
            self.times[name].append(int(nanoseconds) / 1000)
        self.count += probes
        assert set(self.times) == CLASSES

    @property
    def is_decided(self) -> bool:
        gap, error = widest_gap(self.times)
        return abs(gap - LIMIT_US) > SURE * error


def measure(fleet: Fleet, programs: Path, program: Sequence[object]) -> Probing:
    options = ("--failing-hellos-per-source", 0, "--max-connections-per-source", 0)
    with Server(fleet, *options, workers=1, program=program, environment=PATH) as server:
        probing = Probing(server, programs)
        probing.round(PROBES)
        while not probing.is_decided and probing.count < PROBES_LIMIT:
            probing.round(PROBES)
        server.check_sound()
    return probing


def test_a_wrong_inner_box_takes_as_long_whoever_is_named(fleet: Fleet, programs: Path) -> None:
    probing = measure(fleet, programs, (SCRIPTS / "coffer-server",))
    gap, error = widest_gap(probing.times)
    assert gap < LIMIT_US, f"{gap:.2f} us, give or take {error:.2f}, after {probing.count} probes"


def test_the_measuring_finds_a_server_that_skips_the_second_try(fleet: Fleet, programs: Path) -> None:
    probing = measure(fleet, programs, (sys.executable, "-m", "faults.hasty_server"))
    medians = {name: statistics.median(times) for name, times in probing.times.items()}
    gap, error = widest_gap(probing.times)
    assert gap - SURE * error > LIMIT_US, f"{gap:.2f} us, give or take {error:.2f}, after {probing.count} probes"
    assert medians["known"] < min(medians["cold"], medians["unknown"]) - X25519_US


# ---- the same without a network


def wrong_hellos(server: bytes, C: bytes, count: int) -> list[bytes]:
    return [outer_hello(server, os.urandom(32), C, os.urandom(48)) for _ in range(count)]


def sessions_of(fleet: Fleet) -> tuple[Callable[[], ServerSession], dict[str, list[bytes]]]:
    """A maker of sessions on one responder, and wrong Hellos that name each class of client."""
    responder = Responder((load_keypair(str(fleet.key)),))
    S, unknown = public(fleet.server), public(os.urandom(32))
    known, cold = (public(c) for c in list(fleet.clients.values())[:2])

    def make() -> ServerSession:
        return ServerSession(responder, lambda client: None)

    warm = responder.open_hello(pack_hello(S, fleet.clients["client-0"], os.urandom(32))[3:])
    warm.answer(Kind.LINK)  # what makes it known: dh(C,s) is kept after Link
    named = {"known": known, "cold": cold, "unknown": unknown}
    return make, {name: wrong_hellos(S, who, OPENED) for name, who in named.items()}


def test_a_wrong_inner_box_is_the_same_work_whoever_is_named(fleet: Fleet) -> None:
    make, hellos = sessions_of(fleet)
    times: Times = defaultdict(list)
    for each in zip(*hellos.values(), strict=True):
        for name, hello in random.sample(list(zip(hellos, each, strict=True)), len(CLASSES)):
            session = make()
            began = time.perf_counter_ns()
            assert session.receive(hello) == b""
            times[name].append((time.perf_counter_ns() - began) / 1000)
            assert str(session.fault) == "Hello: the inner box does not open"
    gap, error = widest_gap(times)
    assert gap < LIMIT_US, f"{gap:.2f} us, give or take {error:.2f}"
