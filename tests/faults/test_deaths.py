"""Sudden death, by kill -9: of workers, which loses only what they had accepted, and of the master, which ends all."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

from .fleet import Fleet
from .pressing import Load
from .serving import SCRIPTS, Server, alive, until
from .sizes import sized

KILLS = sized(5, 20)
WORKERS = 4
PAUSE_SECONDS = 0.8
WIDTH = 16
LONG_LINES = 1_000_000
# What a client sees of a session whose server died: the kernel closes with a reset if bytes were unread.
LOST = {"reset_before_link", "closed_before_link", "reset_after_link", "closed_after_link"}


class Asker:
    """Runs coffer-client with its default retries, over and over, while its ``with`` block runs."""

    def __init__(self, server: Server) -> None:
        key = server.fleet.write_key("client-0")
        self._command = (SCRIPTS / "coffer-client", "get", "--server", server.url, "--key", key, "flavour")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.outcomes: list[tuple[int, str, str]] = []

    def _ask(self) -> None:
        while not self._done.is_set():
            done = subprocess.run(self._command, capture_output=True, text=True, timeout=60)
            self.outcomes.append((done.returncode, done.stdout, done.stderr))

    def __enter__(self) -> "Asker":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()


def kill_one(server: Server) -> None:
    """Kill the oldest worker and wait until another stands in its place."""
    before = server.children
    os.kill(before[0], signal.SIGKILL)
    until(lambda: before[0] not in server.children)
    until(lambda: len(server.children) == WORKERS)


def test_a_killed_worker_takes_only_its_own_sessions_along(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn")
    with Server(fleet, workers=WORKERS) as server:
        with Asker(server) as asker, Load(programs, server, "--clients", clients, "--width", WIDTH) as load:
            for _ in range(KILLS):
                time.sleep(PAUSE_SECONDS)
                kill_one(server)
            time.sleep(PAUSE_SECONDS)
            done = load.stop()
        assert server.log.count("a worker died") == KILLS
    failures = done.figures["failures_by"]
    assert {kind for kind, count in failures.items() if count} <= LOST, failures
    assert done.figures["failures"] <= KILLS * WIDTH, "no more than were under way"
    assert done.figures["sessions"] > 100 * KILLS
    assert len(asker.outcomes) > KILLS
    assert set(asker.outcomes) == {(0, "dawn", "")}, "coffer-client's own retries hide all of it"


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
        except OSError:
            return False
    return True


def test_a_killed_master_ends_its_workers_and_frees_the_port(fleet: Fleet, programs: Path) -> None:
    clients = fleet.write_clients("dawn")
    with Server(fleet, workers=WORKERS) as server, Load(programs, server, "--clients", clients):
        port, pids = server.port, server.pids
        time.sleep(0.5)
        server.process.kill()
        server.wait()
        until(lambda: not any(map(alive, pids)), seconds=1, what="the workers have ended")
        until(lambda: is_free(port), seconds=1, what="the port is free")
    with Server(fleet, port=port) as server:
        assert server.fetch()["flavour"] == "dawn"


def test_a_master_killed_during_a_load_leaves_nobody_on_the_port(fleet: Fleet) -> None:
    with Server(fleet) as server:
        port, workers = server.port, server.children
        fleet.publish(fleet.seal(fleet.text("dusk") + "".join(f"k{number} = 1\n" for number in range(LONG_LINES))))
        server.signal(signal.SIGHUP)
        until(lambda: len(server.children) > len(workers), what="a loader runs")
        [loader] = set(server.children) - set(workers)
        server.process.kill()
        server.wait()
        until(lambda: not any(map(alive, workers)), seconds=1, what="the workers have ended")
        until(lambda: is_free(port), seconds=1, what="the port is free")
        assert alive(loader), "or nothing was shown"
        os.kill(loader, signal.SIGKILL)
