"""Out of descriptors, or at the cap: the server waits, at no cost, and serves again as soon as there is room."""

import contextlib
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from peer.client import Client

from .fleet import Fleet
from .serving import Server, cpu_seconds

LIMIT = 64
CONNECTS = 200
FULL_SECONDS = 2.0
MOST_CPU = 0.05


def be_poor() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


@contextlib.contextmanager
def crowd(server: Server, count: int) -> Iterator[None]:
    """So many connections that say nothing, as long as the block runs."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", server.port))
        yield


def check_rests(server: Server) -> None:
    """Full, it stands still: under five per cent of a core, all processes together."""
    time.sleep(0.5)
    pids = server.pids
    before = cpu_seconds(pids)
    time.sleep(FULL_SECONDS)
    assert cpu_seconds(pids) - before < MOST_CPU * FULL_SECONDS


def check_serves_within_a_second(server: Server, seconds: float = 1.0) -> None:
    began = time.monotonic()
    assert server.fetch(seconds=seconds)["flavour"] == "dawn"
    assert time.monotonic() - began < seconds
    server.check_sound()


@pytest.mark.parametrize("workers", [1, 2])
def test_two_hundred_that_say_nothing_leave_a_poor_server_standing(fleet: Fleet, workers: int) -> None:
    with Server(fleet, workers=workers, prepare=be_poor) as server:
        with crowd(server, CONNECTS):
            check_rests(server)
            check_serves_within_a_second(server)  # whoever is silent longest gives way
        check_serves_within_a_second(server)


def test_a_poor_server_full_of_sessions_rests_until_they_leave(fleet: Fleet) -> None:
    """None of these is silent, so none gives way: the newcomers wait."""
    with Server(fleet, workers=1, prepare=be_poor) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(LIMIT - 32):
                client = stack.enter_context(Client(fleet.where(server.port), fleet.clients["client-0"], 10))
                client.hello()
            with crowd(server, CONNECTS):
                check_rests(server)
        check_serves_within_a_second(server)


def test_a_server_whose_descriptors_run_out_unforeseen_sheds_and_recovers(fleet: Fleet) -> None:
    with Server(fleet, workers=1) as server:
        [worker] = server.children
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (LIMIT // 2, LIMIT // 2))
        with crowd(server, CONNECTS):
            check_rests(server)
        check_serves_within_a_second(server)
