"""Whole sessions: without a socket, on loopback, and as a program that starts another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import coffer
from coffer.protocol import ClientSession, ServerSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from benchmarks.conftest import Pair
    from benchmarks.measure.place import Place

CLIENT = Path(sys.executable).parent / "coffer-client"


@pytest.mark.benchmark(group="session without a socket, both ends")
def test_session_without_a_socket(benchmark: BenchmarkFixture, pair: Pair) -> None:
    def session() -> bytes | None:
        client, server = ClientSession(pair.client, pair.server.public), ServerSession(pair.responder, pair.table.find)
        get = client.receive(server.receive(client.hello))
        server.receive(client.receive(server.receive(get)))
        return client.response

    assert benchmark(session) is not None


@pytest.mark.benchmark(group="session on loopback, client in Python")
def test_session_on_loopback(benchmark: BenchmarkFixture, address: str, place: Place) -> None:
    assert len(benchmark(coffer.fetch, address, str(place.client_key))) == 1


@pytest.mark.benchmark(group="whole process")
def test_start_up_of_run(benchmark: BenchmarkFixture, address: str, place: Place) -> None:
    command = [CLIENT, "run", "--server", address, "--key", place.client_key, "--", "true"]
    assert benchmark(subprocess.run, command).returncode == 0


@pytest.mark.benchmark(group="whole process")
def test_start_up_of_bare_python(benchmark: BenchmarkFixture) -> None:
    assert benchmark(subprocess.run, [sys.executable, "-I", "-c", "pass"]).returncode == 0
