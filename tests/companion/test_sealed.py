"""The sealed file on disk: replaced whole, and only while it still is what was read."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer import envelope
from coffer._core import Keypair
from coffer.companion.sealed import Sealed, Sealer
from coffer.errors import DefinitionError, EnvelopeError, OperatorError
from coffer.identity import format_id

TEXT = f'[clients]\nweb = "{format_id(Keypair.generate().public)}"\n[web]\nA = 1\n'


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(Keypair.generate(), Keypair.generate().public)


def test_the_slower_of_two_writers_gives_up_and_the_change_of_the_other_stays(sealer, tmp_path: Path) -> None:
    path = tmp_path / "s"
    sealer.seal(TEXT.encode(), "d", str(path), 1, None)
    slow, quick = (Sealed(str(path), path.read_bytes(), sealer.keypair) for _ in range(2))
    quick.replace(TEXT + "B = 2\n")
    theirs = path.read_bytes()
    with pytest.raises(OperatorError, match="s: somebody changed it meanwhile; it is left as they made it"):
        slow.replace(TEXT + "C = 3\n")
    assert path.read_bytes() == theirs


def test_a_file_that_came_meanwhile_is_left_alone(sealer, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("theirs")
    with pytest.raises(OperatorError, match="somebody changed it meanwhile"):
        sealer.seal(TEXT.encode(), "d", str(tmp_path / "s"), 1, None)
    assert (tmp_path / "s").read_text() == "theirs"


def test_nothing_is_written_of_a_definition_that_is_refused(sealer, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError):
        sealer.seal(b"[clients", "d", str(tmp_path / "s"), 1, None)
    assert not (tmp_path / "s").exists()


def test_the_last_serial_has_no_next(sealer, tmp_path: Path) -> None:
    path = tmp_path / "s"
    sealer.seal(TEXT.encode(), "d", str(path), envelope.SERIAL_LIMIT, None)
    with pytest.raises(EnvelopeError, match="after the last serial there is no other"):
        Sealed(str(path), path.read_bytes(), sealer.keypair).replace(TEXT)
