"""A systemd unit, read as systemd reads it: its settings in order, and the system calls that it allows.

Not here: drop-ins, specifiers and continued lines, which the units of contrib/systemd do without.
"""

from __future__ import annotations

import shlex
import string
import subprocess
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "contrib" / "systemd"
INSTALLED = "/opt/coffer/bin/"


class Unit:
    """One unit file of contrib/systemd."""

    def __init__(self, name: str) -> None:
        self.text = (FOLDER / name).read_text()

    def all(self, setting: str) -> list[str]:
        """Return what each line of a setting says, in their order."""
        lines = (line.partition("=") for line in self.text.splitlines() if not line.startswith("#"))
        return [value for key, _, value in lines if key == setting]

    def one(self, setting: str) -> str:
        (value,) = self.all(setting)
        return value

    def command(self, setting: str, bin: Path, environment: Mapping[str, str]) -> list[str]:
        """Return a command with its variables filled in, its programs taken from ``bin``."""
        words = shlex.split(self.one(setting).replace(INSTALLED, f"{bin}/"))
        return [string.Template(word).substitute(environment) for word in words]

    def allowed_calls(self) -> set[str]:
        """Return the system calls that pass SystemCallFilter: @default, and what its lines add and take away."""
        allowed = expand("@default")
        for line in self.all("SystemCallFilter"):
            named = {call for word in line.removeprefix("~").split() for call in expand(word)}
            allowed = allowed - named if line.startswith("~") else allowed | named
        return allowed


def expand(name: str) -> set[str]:
    """Return the system calls in a @group, or the one of that name."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, check=True, text=True)
    members = [line.strip() for line in listed.stdout.splitlines()[1:] if not line.strip().startswith("#")]
    return {call for member in members if member for call in expand(member)}
