"""scripts/prepare installs what is missing and says so, or says what to install: on a machine made of a few links."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PREPARE = Path(__file__).parents[1] / "scripts/prepare"
KNOWN = ("cat", "make", "cc", "gcc", "sh")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of programs in which pkg-config is missing."""
    for name in KNOWN:
        if path := shutil.which(name):
            (tmp_path / name).symlink_to(path)
    (tmp_path / "cc").unlink(missing_ok=True)
    (tmp_path / "cc").symlink_to("/bin/true")
    return tmp_path


def add(machine: Path, name: str, script: str) -> None:
    (machine / name).write_text(f"#!/bin/sh\n{script}\n")
    (machine / name).chmod(0o755)


def prepare(machine: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": str(machine), "PYTHON": sys.executable} | environment
    return subprocess.run(["/bin/sh", PREPARE], env=own, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_as_root_it_installs_what_is_missing_and_says_so(machine: Path) -> None:
    add(machine, "id", "echo 0")
    add(machine, "apt-get", f'echo "$@" >> {machine}/asked')
    done = prepare(machine)
    assert done.returncode == 0, done.stderr
    assert "prepare: installing pkg-config libsodium-dev (apt-get)" in done.stderr
    update, install = (machine / "asked").read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith("install pkg-config libsodium-dev")


def test_with_sudo_it_says_that_it_uses_it(machine: Path) -> None:
    add(machine, "id", "echo 1000")
    add(machine, "sudo", '[ "$1" = -n ] && shift; exec "$@"')
    add(machine, "true", "")
    add(machine, "apt-get", "")
    assert "installing pkg-config libsodium-dev (sudo apt-get)" in prepare(machine).stderr


def test_elsewhere_it_says_what_to_install_and_stops(machine: Path) -> None:
    add(machine, "id", "echo 1000")
    done = prepare(machine)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "prepare: please install, then try again",
        "Debian: pkg-config libsodium-dev",
        "Fedora: gcc make pkgconf-pkg-config libsodium-devel python3-devel",
        "Alpine: gcc musl-dev make pkgconf libsodium-dev python3-dev",
        "macOS:  brew install pkgconf libsodium",
    ]


def test_an_old_python_is_named(machine: Path) -> None:
    add(machine, "pkg-config", "")
    add(machine, "python", '[ "$1" = -V ] && echo Python 3.9.2; case "$2" in *version_info*) exit 1;; esac')
    done = prepare(machine, PYTHON=str(machine / "python"))
    assert done.returncode == 1
    assert done.stderr == (
        "prepare: Python 3.9.2 is too old: coffer needs Python 3.11 or later; name one with PYTHON=\n"
    )
