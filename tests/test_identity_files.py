"""A key file is used only when nobody but its owner, or root, could have read or replaced it."""

from __future__ import annotations

import os
import resource
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coffer._core import Keypair
from coffer.errors import KeyFileError
from coffer.identity import format_id, load_keypair, save_keypair
from known import KEYS, key_text

NOBODY = 65534
ROOT = os.geteuid() == 0
TEXT = b"# coffer key\n" + key_text(KEYS["c"])
# Only root can give a file to somebody else, and is let into every file.
needs_root = pytest.mark.skipif(not ROOT, reason="only root can give files away")


@pytest.fixture(autouse=True)
def nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "client.key"
    path.write_bytes(TEXT)
    path.chmod(0o600)
    return path


@pytest.fixture
def market() -> Iterator[Path]:
    """A directory that every user can come to; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def refusal(path: object) -> KeyFileError:
    with pytest.raises(KeyFileError) as caught:
        load_keypair(str(path))
    return caught.value


def in_child(act: Callable[[], None]) -> None:
    """Run ``act`` in a process of its own, from which no limit and no user comes back."""
    if not (child := os.fork()):
        try:
            act()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


# reading


def test_a_key_file_is_read(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(key.parent)
    for path in (key, "client.key", "./client.key", f"../{key.parent.name}//client.key", key.parent / "." / key.name):
        assert load_keypair(str(path)).public == KEYS["C"]


def test_what_stands_in_it_is_refused_with_its_name(key: Path) -> None:
    key.write_bytes(b"junk\n")
    assert str(refusal(key)) == f"{key}: line 1: neither a comment nor a key line"


def test_only_a_file_closed_to_group_and_others_is_read(key: Path) -> None:
    for mode in range(0o1000):
        if mode & 0o077:
            key.chmod(mode)
            error = refusal(key)
            if ROOT or mode & 0o400:
                assert str(error) == f"{key}: readable by others (mode {mode:04o})"
                assert error.hint == f"chmod 0600 {key}"
        elif mode & 0o400:
            key.chmod(mode)
            assert load_keypair(str(key)).public == KEYS["C"]


@pytest.mark.parametrize("kind", ["directory", "FIFO", "device", "socket", "missing", "under a file"])
def test_only_a_regular_file_is_read_and_nothing_blocks(tmp_path: Path, key: Path, kind: str) -> None:
    path = tmp_path / "other"
    words = "not a regular file"
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        words = "No such device or address"
    else:
        path = path if kind == "missing" else key / "client.key"
        words = "No such file or directory" if kind == "missing" else "Not a directory"
    assert str(refusal(path)) == f"{path}: {words}"


def test_somebody_elses_file_is_refused(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    if ROOT:
        os.chown(key, NOBODY, -1)
        owner = NOBODY
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    error = refusal(key)
    assert str(error) == f"{key}: owned by user {owner}, who is neither you nor root"
    assert error.hint == f"chown {os.geteuid()} {key}"


@needs_root
def test_another_user_can_neither_read_nor_use_the_key_of_root(market: Path) -> None:
    key = market / "client.key"
    key.write_bytes(TEXT)
    key.chmod(0o600)

    def as_nobody() -> None:
        os.setuid(NOBODY)
        assert str(refusal(key)) == f"{key}: Permission denied"

    in_child(as_nobody)


@needs_root
def test_a_user_s_own_key_is_read_by_that_user_and_not_even_by_root(market: Path) -> None:
    key = market / "client.key"
    key.write_bytes(TEXT)
    key.chmod(0o400)
    os.chown(key, NOBODY, -1)

    def as_nobody() -> None:
        os.setuid(NOBODY)
        assert load_keypair(str(key)).public == KEYS["C"]

    in_child(as_nobody)
    assert str(refusal(key)) == f"{key}: owned by user {NOBODY}, who is neither you nor root"


# links


def test_a_link_is_followed_and_so_are_links_on_the_way(tmp_path: Path, key: Path) -> None:
    """As Kubernetes mounts a secret: client.key -> ..data/client.key, ..data -> ..2024_09_01."""
    mounted = tmp_path / "mounted"
    (mounted / "..2024_09_01").mkdir(parents=True)
    (mounted / "..2024_09_01" / "client.key").write_bytes(TEXT)
    (mounted / "..2024_09_01" / "client.key").chmod(0o400)
    (mounted / "..data").symlink_to("..2024_09_01")
    (mounted / "client.key").symlink_to("..data/client.key")
    absolute = tmp_path / "absolute"
    absolute.symlink_to(mounted / "..data" / ".." / "client.key")
    for path in (mounted / "client.key", mounted / "..data" / "client.key", absolute):
        assert load_keypair(str(path)).public == KEYS["C"]


def test_what_a_link_leads_to_is_held_to_the_same_rules(tmp_path: Path, key: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(key)
    key.chmod(0o640)
    assert str(refusal(link)) == f"{link}: readable by others (mode 0640)"


def test_links_that_lead_nowhere_or_round_are_refused(tmp_path: Path) -> None:
    dangling, circle = tmp_path / "dangling", tmp_path / "circle"
    dangling.symlink_to("nothing")
    circle.symlink_to("circle")
    assert str(refusal(dangling)) == f"{dangling}: No such file or directory"
    assert str(refusal(circle)) == f"{circle}: too many symbolic links"


def test_forty_links_are_followed_and_no_more(tmp_path: Path, key: Path) -> None:
    last = key
    for number in range(41):
        link = tmp_path / f"link-{number}"
        link.symlink_to(last)
        last = link
    assert load_keypair(str(tmp_path / "link-39")).public == KEYS["C"]
    assert str(refusal(last)) == f"{last}: too many symbolic links"


@needs_root
@pytest.mark.parametrize("where", ["last", "on the way", "second"])
def test_somebody_elses_link_is_not_followed_wherever_it_stands(tmp_path: Path, key: Path, where: str) -> None:
    theirs, path = tmp_path / "theirs", tmp_path / "path"
    theirs.symlink_to(tmp_path if where == "on the way" else key)
    os.chown(theirs, NOBODY, -1, follow_symlinks=False)
    path.symlink_to(theirs)
    asked = {"last": theirs, "on the way": theirs / "client.key", "second": path}[where]
    assert str(refusal(asked)) == f"{asked}: {theirs} is a symbolic link of user {NOBODY}, neither you nor root"


@needs_root
def test_a_link_put_in_the_place_of_a_folder_meanwhile_is_not_followed(market: Path, tmp_path: Path) -> None:
    """Its owner swaps the folder that the key lies in for a link to where another key lies, as fast as he can."""
    theirs, others = market / "theirs", tmp_path / "others"
    for folder, text in ((theirs / "folder", TEXT), (others, key_text(KEYS["s"]))):
        folder.mkdir(parents=True)
        (folder / "client.key").write_bytes(text)
        (folder / "client.key").chmod(0o600)
    (theirs / "link").symlink_to(others)
    os.chown(theirs / "link", NOBODY, -1, follow_symlinks=False)
    with subprocess.Popen([sys.executable, "-c", SWAP, theirs / "folder", theirs / "link"]) as swapping:
        loaded, refused = set(), 0
        try:
            for _ in range(4000):
                try:
                    loaded.add(load_keypair(str(theirs / "folder" / "client.key")).public)
                except KeyFileError:
                    refused += 1
        finally:
            swapping.kill()
    assert loaded == {KEYS["C"]} and refused


# Exchange two names for each other, on and on: renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE).
SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
one, other = map(os.fsencode, sys.argv[1:])
while not libc.renameat2(-100, one, -100, other, 2):
    pass
"""


# systemd


@needs_root
def test_a_credential_may_be_readable_by_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    alias = tmp_path / "alias"
    alias.symlink_to(directory)
    key = directory / "server.key"
    key.write_bytes(TEXT)
    key.chmod(0o440)
    assert str(refusal(key)) == f"{key}: readable by others (mode 0440)"
    for name in (str(directory), f"{directory}/", str(alias)):
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", name)
        for path in (key, alias / "server.key"):
            assert load_keypair(str(path)).public == KEYS["C"]
    for mode in (0o444, 0o460, 0o450, 0o640 | 0o004):
        key.chmod(mode)
        assert str(refusal(key)) == f"{key}: readable by others (mode {mode:04o})"


@needs_root
def test_only_root_s_own_file_directly_in_the_directory_is_a_credential(
    market: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = market / "credentials"
    (directory / "below").mkdir(parents=True)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    key.chmod(0o440)
    (directory / "link").symlink_to(key)
    below = directory / "below" / "server.key"
    theirs = directory / "theirs"
    for path in (below, theirs):
        path.write_bytes(TEXT)
        path.chmod(0o440)
    os.chown(theirs, NOBODY, -1)

    def as_nobody() -> None:
        os.setuid(NOBODY)
        assert str(refusal(theirs)) == f"{theirs}: readable by others (mode 0440)"

    for path in (directory / "link", below):
        assert str(refusal(path)) == f"{path}: readable by others (mode 0440)"
    in_child(as_nobody)


# writing


def test_a_key_file_is_made_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    keypair = Keypair.generate()
    for umask in (0, 0o077, 0o777):
        path = tmp_path / f"{umask:o}.key"
        before = os.umask(umask)
        try:
            save_keypair(str(path), keypair)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        lines = path.read_text().split("\n")
        assert lines[:2] == ["# coffer key", f"# id: {format_id(keypair.public)}"]
        assert lines[2].startswith("coffer-secret-key-1:") and lines[3:] == [""]
        assert load_keypair(str(path)).public == keypair.public


def test_a_key_file_with_a_passphrase_asks_for_it(tmp_path: Path) -> None:
    keypair, path = Keypair.generate(), str(tmp_path / "locked.key")
    save_keypair(path, keypair, b"open sesame")
    assert load_keypair(path, lambda: b"open sesame").public == keypair.public
    assert "coffer-secret-key-1" not in Path(path).read_text()


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_a_key_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "taken"
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError) as caught:
        save_keypair(str(path), Keypair.generate())
    assert str(caught.value) == f"{path}: there is a file already, and a key is never overwritten"
    assert caught.value.hint == "choose another name"
    assert kind != "file" or path.read_bytes() == b"precious"
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_file_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "client.key"
    with pytest.raises(KeyFileError) as caught:
        save_keypair(str(path), Keypair.generate())
    assert str(caught.value) == f"{path}: No such file or directory"


@pytest.mark.parametrize("limit", [0, 20, 100])
def test_no_half_of_a_key_file_is_left(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "client.key"

    def act() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(KeyFileError) as caught:
            save_keypair(str(path), Keypair.generate())
        assert str(caught.value) == f"{path}: File too large"

    in_child(act)
    assert not path.exists()


def test_no_half_of_a_key_file_is_left_when_there_is_no_memory_for_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "client.key"

    def act() -> None:
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), size + (64 << 20)))
        with pytest.raises(KeyFileError, match="locking the key takes 256 MiB of memory, which there is not"):
            save_keypair(str(path), Keypair.generate(), b"open sesame")

    in_child(act)
    assert not path.exists()
