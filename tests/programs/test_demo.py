"""`make demo` does what the README shows, and leaves nothing behind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import transcript

ROOT = Path(__file__).parents[2]


def test_the_demo_prints_what_the_readme_shows(environment: dict[str, str], tmp_path: Path) -> None:
    shown = re.search(r"^make demo\n```\n.*?^```text\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert shown
    (tmp_path / "scratch").mkdir()
    demo = subprocess.run(
        [ROOT / "demo/run"],
        env=environment | {"TMPDIR": str(tmp_path / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert demo.returncode == 0, demo.stdout
    assert transcript.matches(shown[1], demo.stdout, {}), demo.stdout
    assert not list((tmp_path / "scratch").iterdir())


def test_make_alone_says_what_there_is(environment: dict[str, str]) -> None:
    listed = subprocess.check_output(["make", "-s"], cwd=ROOT, env=environment, text=True)
    named = re.findall(r"^make (\w+) {2,}(.+)$", listed, re.MULTILINE)
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets and {name for name, _ in named} == set(targets[1].split())
