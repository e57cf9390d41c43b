"""Hellos of random bytes, as many as one core can send: they earn nothing, and cost the others nothing."""

from pathlib import Path

from running import finish_load, load, start_load

from .fleet import Fleet
from .serving import Server
from .sizes import sized

SECONDS = sized(4, 30)
OFFERED = 20_000
LEAST_RATE = 5000
ATTACKER = "127.0.0.3-127.0.0.3"


def test_clients_elsewhere_do_not_notice_a_flood_of_garbage(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn")
    with Server(fleet) as server:
        flood = start_load(programs, server.target, "--source", ATTACKER, "--garbage", OFFERED, "--seconds", SECONDS)
        quiet = load(
            programs, server.target, "--clients", clients, "--width", 8, "--seconds", SECONDS - 1, "--rate", 200
        )  # fmt: skip
        garbage = finish_load(flood).figures["garbage"]
        server.check_sound()
    assert (quiet.exit_code, quiet.figures["failures"]) == (0, 0), quiet
    assert quiet.figures["sessions"] >= 100
    assert garbage["rate"] >= LEAST_RATE, garbage
    assert garbage["bytes_received"] == 0
    assert garbage["closed"] == 0, "strangers are reset, whatever they sent"
