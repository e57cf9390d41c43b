"""What a restart must not forget."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from coffer.errors import OperatorError, SettingsError
from coffer.server import state
from coffer.server.state import Stamp, check_stamp

STAMP = Stamp("3SAW-T7FR", 2**64 - 1, "ab" * 32)


def test_what_is_saved_is_loaded_and_is_the_owners_alone(tmp_path: Path) -> None:
    assert state.load(str(tmp_path)) is None
    for stamp in (Stamp("x", 1, "y"), STAMP):
        state.save(str(tmp_path), stamp)
        assert state.load(str(tmp_path)) == stamp
    (kept,) = tmp_path.iterdir()
    assert kept.name == "last-definition.json" and kept.stat().st_mode & 0o777 == 0o600


def test_without_a_directory_nothing_is_kept() -> None:
    state.save("", STAMP)
    assert state.load("") is None


GOOD = {"companion": "x", "serial": 1, "digest": "y"}


@pytest.mark.parametrize(
    "kept",
    ["", "{", "[]", "1", "{}", *(json.dumps(GOOD | bad) for bad in (
        {"serial": "1"}, {"serial": True}, {"serial": 1.0}, {"digest": None}, {"companion": 7}, {"more": 1},
    ))],
)  # fmt: skip
def test_what_is_unreadable_stops_the_start_rather_than_let_an_old_definition_in(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "last-definition.json"
    path.write_text(kept)
    with pytest.raises(SettingsError) as caught:
        state.load(str(tmp_path))
    assert str(caught.value) == f"{path}: unreadable, so an older definition could not be told from a newer one"
    assert caught.value.hint == "remove it only if you know that the definition is the newest"


def test_a_link_to_nowhere_is_unreadable_and_not_missing(tmp_path: Path) -> None:
    (tmp_path / "last-definition.json").symlink_to("gone")
    with pytest.raises(SettingsError):
        state.load(str(tmp_path))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_what_cannot_be_looked_for_is_unreadable_and_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "lstat", fail)
    with pytest.raises(SettingsError, match="could not be told from a newer one"):
        state.load(str(tmp_path))


def test_a_directory_that_is_gone_is_one_clear_line() -> None:
    with pytest.raises(OperatorError, match=r"^/nowhere/last-definition.json: No such file or directory$"):
        state.save("/nowhere", STAMP)


def test_a_higher_serial_is_new_whatever_the_bytes() -> None:
    assert not check_stamp("d", Stamp("x", 2, "same"), Stamp("x", 1, "same"))
