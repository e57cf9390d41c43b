"""SIGTERM under load, which cuts nobody, and clocks that are ten years off, which change nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import Loaded, load

from peer.client import Client

from .fleet import Fleet
from .pressing import Load
from .serving import Server, alive, until
from .sizes import sized

NINE_YEARS_SECONDS = 9 * 365 * 86400
STOPS = sized(2, 10)
WIDTH = 32
IDLE = ("--idle", 3, "--seconds", 6)
# What may meet a client that comes while the port closes; it has no Link, and coffer-client tries again.
TOO_LATE = {"connect_refused", "reset_before_link"}


def test_no_session_is_cut_by_a_stop_under_load(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn")
    for _ in range(STOPS):
        with Server(fleet) as server, Load(programs, server, "--clients", clients, "--width", WIDTH) as load:
            time.sleep(0.7)
            server.signal(signal.SIGTERM)
            assert server.wait(5) == 0, "sessions take milliseconds, so the drain does"
            server.check_sound()
            done = load.stop()
        failures = {kind for kind, count in done.figures["failures_by"].items() if count}
        assert failures <= TOO_LATE, done.figures["failures_by"]
        assert done.figures["failures_by"]["reset_before_link"] <= WIDTH
        assert done.figures["sessions"] - done.figures["failures"] > 100


def test_who_has_link_is_served_after_the_stop_began(fleet: Fleet) -> None:
    with Server(fleet) as server, Client(fleet.where(server.port), fleet.clients["client-0"], 10) as client:
        client.hello()
        server.signal(signal.SIGTERM)
        time.sleep(2)
        assert server.process.poll() is None
        assert client.get()["flavour"] == "dawn"
        client.bye()
        assert server.wait(3) == 0


def test_a_stop_waits_for_the_slowest_at_most_fifteen_seconds(fleet: Fleet) -> None:
    with Server(fleet) as server, Client(fleet.where(server.port), fleet.clients["client-0"], 10) as client:
        client.hello()
        server.signal(signal.SIGTERM)
        began = time.monotonic()
        assert server.wait(16) == 0
        assert 3 < time.monotonic() - began < 15.5, "Get may take five seconds, the whole session fifteen"


def test_a_second_signal_stops_at_once(fleet: Fleet) -> None:
    with Server(fleet) as server, Client(fleet.where(server.port), fleet.clients["client-0"]) as client:
        client.hello()
        pids = server.pids
        server.signal(signal.SIGTERM)
        until(lambda: "draining" in server.log)
        server.signal(signal.SIGTERM)
        assert server.wait(1) == 0
        until(lambda: not any(map(alive, pids)), seconds=1)


# ---- clocks


def find_faketime() -> str | None:
    """The library that lies about the time (the package libfaketime), or None."""
    listed = subprocess.run(["find", "/usr/lib", "-name", "libfaketime.so.1"], capture_output=True, text=True)
    return next(iter(listed.stdout.split()), None)


FAKETIME = find_faketime()
needs_faketime = pytest.mark.skipif(not FAKETIME, reason="libfaketime.so.1 is missing: install libfaketime (Debian)")


def lie(**settings: str) -> dict[str, str]:
    """An environment in which the clocks lie, after a look that they do."""
    assert FAKETIME
    lying = {"LD_PRELOAD": FAKETIME, **settings}
    told = subprocess.run([sys.executable, "-c", "import time; print(time.time())"], env=lying, capture_output=True)
    assert abs(float(told.stdout) - time.time()) > NINE_YEARS_SECONDS or "FAKETIME" not in settings
    return lying


@pytest.mark.plain  # libfaketime comes to a process in the sanitizers' place
@needs_faketime
@pytest.mark.parametrize("offset", ["+10y", "-10y"])
def test_clocks_ten_years_off_change_nothing(fleet: Fleet, programs: Path, offset: str) -> None:
    with Server(fleet, environment=lie(FAKETIME=offset)) as server, Load(programs, server, *IDLE) as idle:
        check_serves(server, programs)
        check_deadline(idle.finish())
        server.check_sound()


@pytest.mark.plain  # libfaketime comes to a process in the sanitizers' place
@needs_faketime
def test_a_calendar_that_jumps_under_load_changes_nothing(fleet: Fleet, programs: Path) -> None:
    calendar = fleet.folder / "calendar"
    calendar.write_text("+0\n")
    lying = lie(FAKETIME_TIMESTAMP_FILE=str(calendar), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
    early = fleet.write_clients("dawn", name="early-clients")
    with Server(fleet, environment=lying) as server, Load(programs, server, *IDLE) as idle:
        with Load(programs, server, "--clients", early, "--seconds", 3) as load:
            for offset in ("+10y", "-10y"):
                time.sleep(1)
                calendar.write_text(f"{offset}\n")
            done = load.finish()
        assert (done.exit_code, done.figures["failures"]) == (0, 0), done
        check_serves(server, programs)
        check_deadline(idle.finish())
        server.check_sound()


def check_serves(server: Server, programs: Path) -> None:
    """Fetches and a reload go as at any other time."""
    fleet = server.fleet
    done = load(programs, server.target, "--clients", fleet.write_clients("dawn", "dusk"), "--seconds", 0.5)
    assert (done.exit_code, done.figures["failures"]) == (0, 0), done
    fleet.publish(fleet.seal(fleet.text("dusk")))
    assert server.reload().returncode == 0
    assert server.fetch()["flavour"] == "dusk"


def check_deadline(done: Loaded) -> None:
    """Whoever says nothing is reset after the five seconds of docs/protocol.md, by an honest clock."""
    idle = done.figures["idle"]
    assert idle["reset"] >= 3
    assert 4.9 <= idle["lasted_min_s"] <= idle["lasted_max_s"] <= 5.5
