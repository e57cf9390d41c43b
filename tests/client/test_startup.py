"""What ``coffer-client run`` costs before somebody's program starts: the modules it imports, and the time."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import address_of, serving

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "coffer-client")
BARE = [sys.executable, "-I", "-c", "pass"]
RUN = [PROGRAM, "run", "--", "true"]
OVER_BARE_SECONDS = 0.025
PAIRS = 40
pytestmark = pytest.mark.plain

# Whoever adds to this list makes every start of every program slower. Measure first.
MODULES = """
__future__ _socket errno
coffer coffer._core coffer.codec coffer.ending coffer.environment coffer.errors coffer.files coffer.identity
coffer.message coffer.protocol coffer.shard
coffer.client coffer.client.address coffer.client.cli coffer.client.connection coffer.client.delivery
coffer.client.environment
coffer.client.exchange coffer.client.fetch coffer.client.flags coffer.client.run coffer.client.verdict
"""


@pytest.fixture
def environment(key: str) -> Iterator[dict[str, str]]:
    with serving(values={"PASSWORD": "hunter2", "PORT": 5432, "ON": True}) as server:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        yield kept | {"COFFER_SERVER": address_of(server), "COFFER_KEY": key}


def imported(command: list[str], environment: dict[str, str]) -> set[str]:
    python, *rest = command if command[0] == sys.executable else [sys.executable, *command]
    done = subprocess.run(
        [python, "-X", "importtime", *rest], env=environment, stderr=subprocess.PIPE, check=True, text=True
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()[1:]}


def test_run_imports_these_modules_and_no_others(environment: dict[str, str]) -> None:
    assert imported(RUN, environment) - imported(BARE, environment) == set(MODULES.split())


def test_run_costs_at_most_25_ms_over_a_bare_interpreter(environment: dict[str, str]) -> None:
    def seconds(command: list[str]) -> float:
        """Return what the process takes of a processor: all of its time, but for a round trip, on an idle machine."""
        pid = os.posix_spawn(command[0], command, environment)
        _, status, usage = os.wait4(pid, 0)
        assert status == 0
        return usage.ru_utime + usage.ru_stime

    seconds(RUN)  # leaves the bytecode behind
    bare, run = zip(*((seconds(BARE), seconds(RUN)) for _ in range(PAIRS)), strict=True)
    assert min(run) - min(bare) < OVER_BARE_SECONDS
