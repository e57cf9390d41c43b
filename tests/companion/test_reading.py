"""What the companion reads, a file, a pipe or stdin, is taken up to its limit, and not a byte beyond."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from coffer.companion.reading import STDIN, read, read_definition
from coffer.envelope import armour_limit
from coffer.errors import OperatorError

LIMIT_BYTES = 1000
KINDS = ("file", "pipe", "stdin")

Put = Callable[[str, bytes], str]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Make data to be had from a file, a pipe or stdin, and return the path that names it."""

    def put(kind: str, data: bytes) -> str:
        path = tmp_path / kind
        if kind == "stdin":
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            return STDIN
        if kind == "file":
            path.write_bytes(data)
        else:
            os.mkfifo(path)
            Thread(target=path.write_bytes, args=(data,)).start()
        return str(path)

    return put


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_may_have_as_many_bytes_as_its_limit_says(put: Put, kind: str) -> None:
    assert read(put(kind, bytes(LIMIT_BYTES)), LIMIT_BYTES) == bytes(LIMIT_BYTES)


@pytest.mark.parametrize("kind", KINDS)
def test_one_byte_over_the_limit_is_refused_with_the_limit_that_was_meant(put: Put, kind: str) -> None:
    with pytest.raises(OperatorError, match=f"{kind}: over 1,000 bytes"):
        read(put(kind, bytes(LIMIT_BYTES + 1)), LIMIT_BYTES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_may_be_longer_by_what_sealing_adds(put: Put, kind: str) -> None:
    longest = armour_limit(LIMIT_BYTES)
    assert len(read_definition(put(kind, bytes(longest)), LIMIT_BYTES)) == longest


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_longer_than_that_is_refused(put: Put, kind: str) -> None:
    with pytest.raises(OperatorError, match=f"{kind}: over {armour_limit(LIMIT_BYTES):,} bytes"):
        read_definition(put(kind, bytes(armour_limit(LIMIT_BYTES) + 1)), LIMIT_BYTES)
