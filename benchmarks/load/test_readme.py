"""README.md says what the programs are: their help to the letter, and every field of their JSON lines."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import Client, Limit, load, write_clients

README = (Path(__file__).parent / "README.md").read_text()


@pytest.mark.parametrize("name", ["load", "limit"])
def test_the_help_is_in_it_to_the_letter(programs: Path, name: str) -> None:
    told = subprocess.run([programs / name, "--help"], capture_output=True, text=True, check=True)
    assert f"$ {name} --help\n{told.stdout}```" in README


def fields(figures: dict[str, object]) -> Iterator[str]:
    for name, value in figures.items():
        yield name
        if isinstance(value, dict):
            yield from fields(value)


def test_every_field_is_in_it(
    programs: Path, tmp_path: Path, limit: Limit, server_id: str, clients_file: Path, clients: list[Client]
) -> None:
    cold = write_clients(tmp_path / "cold", clients[:1])
    options = ["--idle", 1, "--dribble", 1, "--garbage", 1, "--record", tmp_path / "record"]
    options += ["--clients", clients_file, "--bad-inner", 1, "--cold", cold]
    done = load(programs, (limit.address, server_id), *options)
    told = set(re.findall(r"`(\w+)`", README))
    assert len(done.figures) > 15
    assert set(fields(done.figures)) <= told
    assert set(fields(limit.stop())) <= told
