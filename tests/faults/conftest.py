"""The load generator, built once, and a fleet with its first definition in place."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "load"))

from running import build

from .fleet import Fleet


@pytest.fixture(scope="session")
def programs() -> Path:
    return build()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    made.publish(made.seal(made.text("dawn")))
    return made
