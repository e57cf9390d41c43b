"""The three programs as real processes: the scripts that users run, in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

SCRIPTS = Path(sysconfig.get_path("scripts"))


class Outcome(NamedTuple):
    """What a process ended with: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without coffer's variables, in which the programs are found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
    return kept | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run a program to its end: ``run("coffer-companion", "id", "web.key", stdin="...", env={...})``."""

    def run(*command: str, stdin: str = "", env: dict[str, str] | None = None) -> Outcome:
        done = subprocess.run(
            command,
            input=stdin.encode(),
            capture_output=True,
            cwd=tmp_path,
            env=environment | (env or {}),
            timeout=60,
            start_new_session=True,  # no terminal to ask on, wherever the tests run
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
