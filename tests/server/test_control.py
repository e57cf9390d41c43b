"""The control socket: who may ask, what is answered, and what is left behind."""

from __future__ import annotations

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
    with pytest.raises(SettingsError, match=f"^--run-dir: {path}: Address already in use$"):
        control.bind(str(tmp_path))
    assert path.read_text() == "mine"


def test_a_directory_in_which_nothing_can_be_bound_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--run-dir: /nowhere/control.sock: No such file or directory$"):
        control.bind("/nowhere")
    with pytest.raises(SettingsError, match="path too long"):
        control.bind(str(tmp_path / ("x" * 100)))
