"""A file is read whole or refused, and replaced whole or not at all."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coffer import files
from coffer.errors import OperatorError


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(OperatorError) as caught:
        act()
    return str(caught.value)


def test_a_file_up_to_the_limit_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in (0, 1, 999, 1000):
        path.write_bytes(os.urandom(size))
        assert files.load(str(path), 1000) == path.read_bytes()
    path.write_bytes(bytes(1001))
    assert refusal(lambda: files.load(str(path), 1000)) == f"{path}: over 1,000 bytes"


def test_a_limit_may_be_more_than_there_is_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(200_000))
    assert files.load(str(path), 1 << 50) == path.read_bytes()


@pytest.mark.parametrize("kind", ["directory", "FIFO", "endless device", "missing", "link to a directory"])
def test_only_a_regular_file_is_read_and_nothing_blocks(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    words = "not a regular file"
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "endless device":
        path = Path("/dev/zero")
    elif kind == "link to a directory":
        path.symlink_to(tmp_path)
    else:
        words = "No such file or directory"
    assert refusal(lambda: files.load(str(path), 1000)) == f"{path}: {words}"


def test_a_file_is_made_or_replaced_with_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o777)
    try:
        for mode in (0o600, 0o644, 0o400):
            files.save(str(path), b"%o" % mode, mode=mode)
            assert path.read_bytes() == b"%o" % mode
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)
    assert os.listdir(tmp_path) == ["file"]


def test_whoever_reads_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        files.save(str(path), b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for path in (tmp_path / "fifo", tmp_path / "link"):
        assert refusal(lambda path=path: files.save(str(path), b"x")) == f"{path}: not a regular file"
    assert (tmp_path / "fifo").is_fifo()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    link.symlink_to("elsewhere/file")
    for content in (b"made", b"replaced"):
        files.save(str(link), content)
        assert link.is_symlink() and target.read_bytes() == content
    assert os.listdir(target.parent) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def act() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        assert refusal(lambda: files.save(str(path), bytes(101))) == f"{path}: File too large"

    if not (child := os.fork()):
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupt(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.save(str(path), b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    for name, words in (("missing/file", "No such file or directory"), ("directory", "not a regular file")):
        path = tmp_path / name
        assert refusal(lambda path=path: files.save(str(path), b"")) == f"{path}: {words}"
    assert os.listdir(tmp_path) == ["directory"]


def test_what_a_killed_run_left_behind_hinders_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for name in (f"file.{os.getpid()}.new", "file.new", "file~"):
        (tmp_path / name).write_bytes(b"left")
    files.save(str(path), b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("path", "expected"), [("/dev/shm", True), ("/proc", False), ("/sys", False)])
def test_a_folder_in_memory_is_told_from_any_other(path: str, expected: bool) -> None:
    assert files.is_in_memory(path) is expected
