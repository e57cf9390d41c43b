"""Hellos of random bytes, as many as one core can send: they earn nothing, and cost the others nothing."""

from pathlib import Path

from running import load

from .fleet import Fleet
from .pressing import Load
from .serving import Server
from .sizes import sized

SECONDS = sized(4, 30)
OFFERED = 20_000
LEAST_RATE = 5000
ATTACKER = "127.0.0.3-127.0.0.3"


def test_clients_elsewhere_do_not_notice_a_flood_of_garbage(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn")
    flood = ("--source", ATTACKER, "--garbage", OFFERED, "--seconds", SECONDS)
    honest = ("--clients", clients, "--width", 8, "--rate", 200, "--seconds", SECONDS - 1)
    with Server(fleet) as server, Load(programs, server, *flood) as attacker:
        quiet = load(programs, server.target, *honest)
        garbage = attacker.finish().figures["garbage"]
        server.check_sound()
    assert (quiet.exit_code, quiet.figures["failures"]) == (0, 0), quiet
    assert quiet.figures["sessions"] >= 100
    assert garbage["rate"] >= LEAST_RATE, garbage
    assert garbage["bytes_received"] == 0
    assert garbage["closed"] == 0, "strangers are reset, whatever they sent"
