"""What can't be built says so in one sentence that names the packages to install."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from coffer.version import VERSION

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "install a C compiler, pkg-config, Python's headers and libsodium's: "
    "Debian and Ubuntu: apt-get install gcc pkg-config python3-dev libsodium-dev; "
    "Fedora: dnf install gcc pkgconf-pkg-config python3-devel libsodium-devel; "
    "Alpine: apk add gcc musl-dev pkgconf python3-dev libsodium-dev; "
    "macOS: brew install pkgconf libsodium."
)
# setup.py as pip runs it, on an interpreter that came without its headers.
WITHOUT_HEADERS = "import runpy, sysconfig; sysconfig.get_path = lambda name: '/missing'; runpy.run_path('setup.py')"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for tool in ("Cython", "setuptools"):
        if not importlib.util.find_spec(tool):
            pytest.skip(f"{tool} is missing: pip install '.[wheel]'")
    subprocess.run([ROOT / "scripts/tree", tmp_path / "tree"], check=True)
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("variable", "value", "missing"),
    [
        ("PKG_CONFIG", "/nonexistent/pkg-config", "pkg-config is missing"),
        ("PKG_CONFIG_LIBDIR", "/nonexistent", "libsodium 1.0.18 or later is missing"),
    ],
)
def test_pip_shows_what_is_missing_in_one_sentence(tree: Path, variable: str, value: str, missing: str) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PKG_CONFIG")}
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", "t", "."]
    done = subprocess.run(command, cwd=tree, env=kept | {variable: value}, capture_output=True, text=True)
    assert done.returncode != 0
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    assert f"coffer cannot be built: {missing}; {PACKAGES}" in said
    assert "Traceback" not in done.stdout + done.stderr


def test_without_pythons_headers_the_build_stops_with_one_sentence(tree: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_HEADERS], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"coffer cannot be built: Python.h is missing; {PACKAGES}\n"


def test_an_older_libsodium_than_the_minimum_is_refused(tree: Path) -> None:
    (tree / "libsodium.pc").write_text("Name: libsodium\nDescription: old\nVersion: 1.0.17\n")
    command = [sys.executable, "setup.py", "--version"]
    done = subprocess.run(
        command, cwd=tree, env=os.environ | {"PKG_CONFIG_LIBDIR": str(tree)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "libsodium 1.0.18 or later is missing" in done.stderr


def test_no_source_of_libsodium_lies_in_the_repository() -> None:
    assert {path.name for path in (ROOT / "vendor").iterdir()} == {
        "README.md",
        "libsodium.LICENSE",
        "libsodium.toml",
        "sodium.pxd",
    }


def test_there_are_two_run_time_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["cbor2>=6.2.1,<7", "tomli>=2.5"]


def test_the_changelog_begins_with_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == VERSION
