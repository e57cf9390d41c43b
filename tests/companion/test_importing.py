"""What an import would replace: said in the error too, where no program prints the findings."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from coffer._core import Keypair
from coffer.companion.importing import import_values
from coffer.companion.sealed import Sealer
from coffer.definition import LIMIT_BYTES
from coffer.errors import DefinitionError
from coffer.identity import format_id, save_keypair


@pytest.fixture
def options(tmp_path: Path) -> Namespace:
    """The command line of an import of two values that are there already, otherwise."""
    key, file, source = (str(tmp_path / name) for name in ("companion.key", "s", "new.json"))
    save_keypair(key, companion := Keypair.generate())
    text = f'[clients]\nweb = "{format_id(Keypair.generate().public)}"\n[web]\nA = 1\nB = 2\n'
    Sealer(companion, Keypair.generate().public).seal(text.encode(), "d", file, 1, None)
    Path(source).write_text('{"B": 3, "A": 4}')
    return Namespace(
        file=file, source=source, client="web", format=None, overwrite=False, key=key, passphrase_file=None,
        definition_limit=LIMIT_BYTES,
    )  # fmt: skip


def test_the_error_says_the_first_conflict_how_many_more_and_what_to_do(options: Namespace) -> None:
    with pytest.raises(DefinitionError) as caught:
        import_values(options)
    assert str(caught.value) == f"{options.file}: [web] B: has another value already (and 1 more finding)"
    assert caught.value.hint == "--overwrite takes the new one"
    assert [each.key for each in caught.value.findings] == ["B", "A"]
