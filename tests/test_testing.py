"""The pytest plugin, in a pytest of its own: what a user of the library writes, and what comes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUITE = """
import os
import subprocess
import sys

import coffer
import pytest


@pytest.mark.coffer(PASSWORD="tulip", PORT=5432)
def test_what_is_tested_finds_its_values(coffer_client):
    assert coffer.fetch() == {"PASSWORD": "tulip", "PORT": 5432} == coffer_client.fetch()


def test_a_client_without_values_has_none(coffer_client):
    assert coffer.fetch() == {}


def test_every_test_has_a_client_of_its_own(coffer_client, coffer_server):
    other = coffer_server.client({"WHO": "other"})
    assert other.fetch() == {"WHO": "other"}
    assert coffer_client.fetch() == {}
    assert other.id != coffer_client.id


def test_values_can_change_under_way(coffer_client):
    for number in range(3):
        coffer_client.give({"TURN": number, "nan": float("nan")})
        assert coffer.fetch()["TURN"] == number


def test_a_program_finds_them_too(coffer_client):
    coffer_client.give({"PASSWORD": "rose"})
    run = [sys.executable, "-m", "coffer", "client", "run", "--", "sh", "-c", "echo $PASSWORD"]
    assert subprocess.run(run, stdout=-1, check=True).stdout == b"rose\\n"


@pytest.mark.coffer({"a.b": 1, "SHARED": "class"})
class TestMarkers:
    @pytest.mark.coffer(SHARED="test")
    def test_the_nearest_marker_wins(self, coffer_client):
        assert coffer.fetch() == {"a.b": 1, "SHARED": "test"}


def test_nothing_stays_in_the_environment():
    assert not [name for name in os.environ if name.startswith("COFFER_")]
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COFFER_", "PYTEST"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the plugin is named here, whether it is installed or not
    command = [sys.executable, "-m", "pytest", "-p", "coffer.testing", "--strict-markers", "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_suite_of_somebody_who_uses_coffer_passes_and_leaves_no_server(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = run_pytest(tmp_path, f"--basetemp={tmp_path}/base")
    assert "7 passed" in done.stdout, done.stdout + done.stderr
    (log,) = (tmp_path / "base").rglob("server.log")
    assert log.read_text().endswith("coffer-server: stopped\n")


def test_the_plugin_imports_nothing_of_coffer_until_it_is_used(tmp_path: Path) -> None:
    show = "import sys, coffer.testing; print(*sorted(name for name in sys.modules if name.startswith('coffer.')))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout == "coffer.testing\n"
