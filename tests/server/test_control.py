"""The control socket: who may ask, what is answered, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer.errors import OperatorError, SettingsError, UnreachableError
from coffer.server import control
from coffer.server.control import Verdict


def answered(folder: Path, answer: Callable[[socket.socket], None]) -> str:
    """Ask for a reload; ``answer`` is what the server does with the connection."""
    listener = control.bind(str(folder))
    listener.setblocking(True)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return control.ask_reload(str(folder))
    finally:
        thread.join()
        listener.close()
        control.unbind(str(folder))


def tell(verdict: Verdict) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        assert control.takes_reload(connection)
        connection.sendall(control.format_verdict(verdict))

    return answer


def test_a_verdict_arrives_as_it_was_given(tmp_path: Path) -> None:
    assert answered(tmp_path, tell(Verdict("serving serial 2"))) == "serving serial 2"
    with pytest.raises(OperatorError) as caught:
        answered(tmp_path, tell(Verdict("no", "do this", 3)))
    assert (str(caught.value), caught.value.hint, caught.value.exit_code) == ("no", "do this", 3)


def test_a_server_that_goes_away_has_given_no_answer(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="it went away without an answer") as caught:
        answered(tmp_path, lambda connection: connection.recv(64) and None)
    assert caught.value.hint == "is coffer-server running with this --run-dir?"


def test_without_a_server_the_reason_is_told(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(UnreachableError, match=f"^{path}: No such file or directory$"):
        control.ask_reload(str(tmp_path))
    control.bind(str(tmp_path)).close()
    with pytest.raises(UnreachableError, match=f"^{path}: Connection refused$"):
        control.ask_reload(str(tmp_path))
    with pytest.raises(UnreachableError, match="path too long"):
        control.ask_reload(str(tmp_path / ("x" * 100)))


@pytest.mark.parametrize("said", [b"", b"reload", b"stop\n", b"reload\nreload\n"])
def test_only_the_question_that_there_is_is_one(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        theirs.close()
        assert not control.takes_reload(ours)


def test_others_may_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(control.RELOAD)
        monkeypatch.setattr(control, "PEER_CREDENTIALS", type("Other", (), {
            "size": 12, "unpack": staticmethod(lambda raw: (1, 65534, 65534)),
        }))  # fmt: skip
        assert not control.takes_reload(ours)


def test_the_socket_is_its_owners_alone_and_a_dead_servers_is_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with control.bind(str(tmp_path)):
            mode = (tmp_path / "control.sock").stat().st_mode
            assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_a_second_server_is_refused_and_a_file_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with control.bind(str(tmp_path)):
        with pytest.raises(SettingsError, match="another coffer-server is running there") as caught:
            control.bind(str(tmp_path))
        assert caught.value.hint == "give each its own --run-dir"
    control.unbind(str(tmp_path))
    control.unbind(str(tmp_path))
    path.write_text("mine")
    refuse(tmp_path, f"{path}: a file stands where the control socket belongs")
    assert path.read_text() == "mine"
    path.unlink()
    path.symlink_to("nowhere")
    refuse(tmp_path, f"{path}: a symbolic link stands where the control socket belongs")
    path.unlink()
    path.mkdir()
    refuse(tmp_path, f"{path}: a folder stands where the control socket belongs")


def refuse(folder: Path, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^--run-dir: {re.escape(message)}$") as caught:
        control.bind(str(folder))
    assert caught.value.hint


@pytest.mark.parametrize(("mode", "theirs"), [(0o777, 0), (0o757, 0), (0o1777, 0), (0o775, 1)])
def test_a_folder_that_others_may_write_to_is_no_place_for_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, theirs: int
) -> None:
    tmp_path.chmod(mode)
    group = tmp_path.stat().st_gid + theirs
    monkeypatch.setattr(os, "getegid", lambda: group)
    refuse(tmp_path, f"{tmp_path}: others may write there (mode {mode:04o})")


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775])
def test_a_folder_that_only_we_and_our_group_may_write_to_takes_the_socket(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with control.bind(str(tmp_path)):
        assert (tmp_path / "control.sock").exists()


def test_a_folder_of_somebody_else_is_no_place_for_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 1, 1234, 0, 0, 0, 0, 0))
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: status if path == str(tmp_path) else look(path, **how))
    refuse(tmp_path, f"{tmp_path}: owned by user 1234, who is neither you nor root")


def test_a_server_that_hears_nobody_is_one_that_runs(tmp_path: Path) -> None:
    """Its queue is full: the probe must not wait until there is room."""
    path = str(tmp_path / "control.sock")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(10):
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                waiting.setblocking(False)
                waiting.connect(path)
        refuse(tmp_path, f"{path}: another coffer-server is running there")


def test_a_directory_in_which_nothing_can_be_bound_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--run-dir: /nowhere/control.sock: No such file or directory$"):
        control.bind("/nowhere")
    long = tmp_path / ("x" * 100)
    long.mkdir()
    refuse(long, f"{long}/control.sock: AF_UNIX path too long")
