"""The folder in memory: who can enter it, where it is, and that it is gone afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from coffer.companion import scratch
from coffer.companion.scratch import PREFIX, folder, remove_left_behind, signals_held
from coffer.errors import SettingsError


@pytest.fixture
def memory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place in memory of the test's own, which $XDG_RUNTIME_DIR names."""
    place = Path("/dev/shm") / f"coffer-test-{os.getpid()}"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    yield place
    place.rmdir()


def test_the_folder_is_ours_alone_in_memory_and_gone_afterwards(memory: Path) -> None:
    with folder(allow_disk=False) as path:
        assert Path(path).parent == memory
        assert os.stat(path).st_mode & 0o7777 == 0o700
        (Path(path) / "x").write_text("secret")
    assert not os.listdir(memory)


def test_a_folder_in_use_is_not_taken_for_one_left_behind(memory: Path) -> None:
    with folder(allow_disk=False) as path:
        assert remove_left_behind() == []
        assert os.path.isdir(path)


def test_a_folder_that_nobody_holds_is_removed_with_all_in_it(memory: Path) -> None:
    dead = memory / f"{PREFIX}dead"
    (dead / "deeper").mkdir(parents=True)
    (dead / "deeper" / "x").write_text("secret")
    assert remove_left_behind() == [str(dead)]
    assert not os.listdir(memory)


def test_a_link_to_a_folder_is_not_followed(memory: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    (memory / f"{PREFIX}link").symlink_to(tmp_path)
    assert remove_left_behind() == []
    (memory / f"{PREFIX}link").unlink()
    assert (tmp_path / "precious").exists()


def test_disk_is_used_only_when_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scratch, "is_in_memory", lambda path: False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(SettingsError, match="no folder in memory to edit in") as caught, folder(allow_disk=False):
        pass
    assert (caught.value.hint or "").startswith("--allow-disk ")
    with folder(allow_disk=True) as path:
        assert Path(path).parent == tmp_path
    assert not os.listdir(tmp_path)


def test_a_signal_that_comes_meanwhile_takes_effect_at_the_end() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert came == []
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
