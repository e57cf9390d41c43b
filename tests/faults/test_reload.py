"""A definition that changes under load, and every definition that must not be taken, under load too."""

import signal
import time
from pathlib import Path

from .fleet import Fleet
from .pressing import Load
from .serving import Server
from .sizes import sized

RELOAD_SECONDS = sized(6, 60)
PAUSE_SECONDS = 0.2


def test_no_session_fails_however_often_the_definition_changes(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn", "dusk")
    with Server(fleet) as server, Load(programs, server, "--clients", clients) as load:
        rounds = int(RELOAD_SECONDS / PAUSE_SECONDS)
        for number in range(rounds):
            fleet.publish(fleet.seal(fleet.text("dawn" if number % 2 else "dusk")))
            server.signal(signal.SIGHUP)
            time.sleep(PAUSE_SECONDS)
        done = load.stop()
        server.check_sound()
        reloads = server.log.count("serving serial") - 1
    assert (done.exit_code, done.figures["failures"]) == (0, 0), done
    assert min(done.figures["answers"][:2]) > done.figures["sessions"] / 4, "both definitions were answered"
    assert reloads >= rounds / 2, server.log
