"""The linters, as tests: what they find is as red as what a test finds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINTERS = {
    "ruff": ["ruff", "check", "."],
    "mypy": ["mypy"],
    "stubtest": ["mypy.stubtest", "coffer._core"],
    "cython_lint": ["cython_lint.cython_lint", "src/coffer/_core.pyx", "vendor/sodium.pxd"],
}


@pytest.mark.parametrize("command", LINTERS.values(), ids=LINTERS)
def test_a_linter_finds_nothing(command: list[str]) -> None:
    if not importlib.util.find_spec(command[0].partition(".")[0]):
        pytest.skip(f"{command[0]} is missing: pip install '.[lint]'")
    # cython-lint looks for pycodestyle on the path.
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
