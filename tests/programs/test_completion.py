"""What completes the programs in a shell is made from the parsers of today, and completes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run

from coffer.program import SHELLS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "src/coffer/completions"
PROGRAMS = ("coffer-client", "coffer-companion", "coffer-server")
# Type a line into bash's completion, and print what it offers for its last word.
ASK_BASH = """
source /dev/stdin <<< "$({0} completion bash)"
COMP_WORDS=({1}) COMP_CWORD=$(({2} - 1)) COMP_LINE="{1}" COMP_POINT=${{#COMP_LINE}}
$(complete -p {0} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {0}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def test_the_shipped_files_are_those_of_the_parsers(tmp_path: Path) -> None:
    pytest.importorskip("shtab", reason="shtab is missing: pip install '.[test]'")
    subprocess.run([sys.executable, ROOT / "scripts/completions", tmp_path], check=True)
    assert {file.name for file in SHIPPED.iterdir()} == {f"{name}.{shell}" for name in PROGRAMS for shell in SHELLS}
    stale = [file.name for file in SHIPPED.iterdir() if file.read_text() != (tmp_path / file.name).read_text()]
    assert not stale, "make completions makes them anew"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_prints_what_its_shell_understands(run: Run, program: str, shell: str) -> None:
    code, out, err = run(program, "completion", shell)
    assert (code, out, err) == (0, (SHIPPED / f"{program}.{shell}").read_text(), "")
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing")
    assert run(shell, "-n", stdin=out) == (0, "", "")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("coffer-client r", {"run"}),
        ("coffer-client run --re", {"--require", "--retries"}),
        ("coffer-client get --format j", {"json"}),
        ("coffer-companion ke", {"keygen"}),
        ("coffer-companion client a", {"add"}),
        ("coffer-companion id w", {"web.key"}),
        ("coffer-server re", {"reload"}),
        ("coffer-server check --def", {"--definition", "--definition-limit"}),
        ("coffer-server --key w", {"web.key"}),
    ],
)
def test_bash_offers_what_may_come(run: Run, tmp_path: Path, line: str, offered: set[str]) -> None:
    (tmp_path / "web.key").touch()
    asked = run("bash", "-c", ASK_BASH.format(line.split()[0], line, len(line.split())))
    assert set(asked.out.split()) == offered, asked.err


def test_another_shell_is_a_usage_error(run: Run) -> None:
    code, out, err = run("coffer-client", "completion", "tcsh")
    assert (code, out) == (2, "")
    assert err.startswith("coffer-client: error: argument shell: invalid choice: 'tcsh'")
    assert err.endswith("hint: coffer-client completion --help\n")
