"""Thousands who connect and say nothing, or one byte a second, while real clients go about their work.

A failed session fails the test, in whatever round. Times are measured on a machine that others use too, which can
only lengthen them: so they are kept if they are kept in one round of three.
"""

from pathlib import Path
from typing import Any, NamedTuple

from running import load

from .fleet import Fleet
from .pressing import Load
from .serving import Server
from .sizes import sized

IDLE = sized(1000, 10_000)
DRIBBLING = sized(200, 1000)
CROWD_SECONDS = sized(8, 30)
QUIET_SECONDS = sized(2, 5)
ROUNDS = 3
SOURCES = "127.0.0.2-127.0.0.50"
SHARE = 0.3
HELLO_SECONDS = 5.0
LEEWAY_SECONDS = 0.5
GOOD_ENOUGH_US = 20_000.0


class Round(NamedTuple):
    """What load told of real clients, alone and among the crowd, and of the crowd."""

    quiet: dict[str, Any]
    pressed: dict[str, Any]
    idle: dict[str, Any]
    dribble: dict[str, Any]

    @property
    def kept_times(self) -> bool:
        most = max(2 * self.quiet["p99_us"], GOOD_ENOUGH_US)
        return self.pressed["p99_us"] <= most and all(map(ended_in_time, (self.idle, self.dribble)))


def ended_in_time(crowd: dict[str, Any]) -> bool:
    latest = max(crowd["lasted_max_s"], crowd["oldest_open_s"])
    return bool(latest <= HELLO_SECONDS + LEEWAY_SECONDS)


def press(server: Server, programs: Path, clients: Path) -> Round:
    """Real clients at a share of what the server can do, first alone, then with everybody there."""
    fastest = load(programs, server.target, "--clients", clients, "--seconds", QUIET_SECONDS).figures["rate"]
    honest = ("--clients", clients, "--rate", SHARE * fastest, "--retries", 1, "--width", 64)
    quiet = load(programs, server.target, *honest, "--seconds", QUIET_SECONDS)
    strangers = ("--source", SOURCES, "--idle", IDLE, "--dribble", DRIBBLING, "--seconds", CROWD_SECONDS)
    with Load(programs, server, *strangers) as crowd:
        pressed = load(programs, server.target, *honest, "--seconds", CROWD_SECONDS - 1)
        seen = crowd.finish().figures
    return Round(quiet.figures, pressed.figures, seen["idle"], seen["dribble"])


def check(done: Round) -> None:
    """Nobody real failed; the whole crowd was there, was told nothing, and none of it had to give way."""
    assert done.pressed["failures"] == 0, done.pressed
    for crowd, count in ((done.idle, IDLE), (done.dribble, DRIBBLING)):
        assert crowd["reset"] >= count, crowd
        assert crowd["bytes_received"] == crowd["closed"] == 0
        assert crowd["lasted_min_s"] >= HELLO_SECONDS - 0.1, crowd


def test_a_silent_crowd_costs_real_clients_nothing(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn")
    rounds: list[Round] = []
    with Server(fleet) as server:
        while len(rounds) < ROUNDS and not any(each.kept_times for each in rounds):
            rounds.append(press(server, programs, clients))
            check(rounds[-1])
        server.check_sound()
    assert rounds[-1].kept_times, rounds
