"""After thousands of fetches and a reload: what a core, a look into living processes and the logs give away."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import load

from peer.boxes import dh
from peer.client import Client

from .fleet import Fleet
from .memory import Needles, dump_core, find_in_process, guarded_keys
from .serving import Server
from .sizes import sized

SESSIONS = sized(3000, 30_000)
REST_SECONDS = 1.0
WATCHED = 3

# A sanitizer keeps freed memory for a while, and has maps of terabytes of its own.
pytestmark = pytest.mark.plain
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root reads the memory of a process that is not dumpable"
)
needs_gcore = pytest.mark.skipif(not shutil.which("gcore"), reason="gcore is missing: it comes with the package gdb")


class Used:
    """A server that has done everything once, at rest, and every secret that ever was in it."""

    def __init__(self, server: Server, programs: Path) -> None:
        self.server, self.keys = server, {"server key": server.fleet.server}
        clients = server.fleet.write_clients("dawn", "dusk")
        assert not load(programs, server.target, "--clients", clients, "--sessions", SESSIONS).exit_code
        server.fleet.publish(server.fleet.seal(server.fleet.text("dusk")))
        assert server.reload().returncode == 0
        assert not load(programs, server.target, "--clients", clients, "--sessions", SESSIONS).exit_code
        load(programs, server.target, "--clients", clients, "--sessions", 1, "--bad-inner", 300)
        for name in list(server.fleet.clients)[:WATCHED]:
            self._fetch(name)
        server.fleet.publish(b"nothing")
        assert server.reload().returncode == 3
        time.sleep(REST_SECONDS)
        self.values = Needles({"value": server.fleet.canary.hex().encode()})

    def _fetch(self, name: str) -> None:
        """One more session, whose keys the test knows."""
        fleet = self.server.fleet
        with Client(fleet.where(self.server.port), fleet.clients[name]) as client:
            client.hello()
            client.get()
            client.bye()
            session, F = client.session, bytes(client.stream.received[3:35])
        assert session.keys
        self.keys[f"{name}: up"], self.keys[f"{name}: down"] = session.keys.up, session.keys.down
        self.keys[f"{name}: dh(S,e)"] = dh(session.S, session.e)
        self.keys[f"{name}: dh(F,e)"] = dh(F, session.e)
        self.keys[f"{name}: dh(S,c)"] = dh(session.S, session.c)

    def all_keys(self) -> Needles:
        """The middle of each key, in halves: X25519 clamps the ends of a copy, and a half may be overwritten."""
        keys = dict(self.keys)
        if os.geteuid() == 0:
            for pid in self.server.pids:
                keys |= guarded_keys(pid)
        return Needles(halves(keys))


def halves(keys: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}, {at}": key[at : at + 12] for name, key in keys.items() for at in (4, 16)}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Used]:
    fleet = Fleet(tmp_path_factory.mktemp("used"))
    fleet.publish(fleet.seal(fleet.text("dawn")))
    with Server(fleet, "--verbose", "--failing-hellos-per-source", 0) as server:
        yield Used(server, programs)
        server.check_sound()


@needs_root
def test_the_look_finds_what_is_there(used: Used) -> None:
    """The live machine's root can read the keys (docs/security.md): if these were not found, neither was the rest."""
    found = {
        find.needle.rpartition(",")[0] for pid in used.server.pids for find in find_in_process(pid, used.all_keys())
    }
    assert {"server key", *(f"client-{number}: dh(S,c)" for number in range(WATCHED))} <= found
    assert len({name for name in found if name.startswith("guarded")}) >= 2 * len(used.server.pids)
    assert find_in_process(os.getpid(), used.values), "this process has the values, and in maps of all kinds"


@needs_root
def test_no_process_at_rest_holds_a_value(used: Used) -> None:
    for pid in used.server.pids:
        assert find_in_process(pid, used.values) == []


@needs_root
def test_the_keys_of_past_sessions_are_gone(used: Used) -> None:
    past = {name: key for name, key in used.keys.items() if name.endswith(("up", "down", "e)"))}
    assert len(past) == 4 * WATCHED
    for pid in used.server.pids:
        assert find_in_process(pid, Needles(halves(past))) == []


@needs_root
@needs_gcore
def test_a_core_of_any_process_holds_no_value_and_no_key(used: Used, tmp_path: Path) -> None:
    keys = used.all_keys()
    for pid in used.server.pids:
        core = dump_core(pid, tmp_path)
        assert len(core) > 1 << 20 and b"coffer-table" in core, "a whole core, with what may be in it"
        assert [*used.values.find(core, f"core of {pid}"), *keys.find(core, f"core of {pid}")] == []
    whole = dump_core(used.server.master, tmp_path, "-a")
    assert list(keys.find(whole, "core")), "with what is marked to be left out, the look finds the key"


@needs_root
def test_a_process_cannot_be_made_to_leave_a_core(used: Used) -> None:
    for pid in used.server.pids:
        limits = Path(f"/proc/{pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]


def test_logs_arguments_and_environment_hold_no_secret(used: Used) -> None:
    server = used.server
    told = server.log_path.read_bytes()
    assert b"client-0: fetched in" in told and b"the inner box does not open" in told, "all kinds of lines are there"
    if os.geteuid() == 0:
        for pid in server.pids:
            told += Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    assert [*used.values.find(told, "told"), *used.all_keys().find(told, "told")] == []
