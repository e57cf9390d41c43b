"""coffer-client on a real terminal: what it shows there, what it asks, and what Ctrl-C does."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from conftest import SCRIPTS
from house import House
from terminal import CTRL_C, Terminal, settle

from coffer.identity import save_keypair

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(house: House, environment: dict[str, str]) -> Open:
    """Run coffer-client on a terminal: ``terminal("get", "PORT")``."""

    def terminal(*arguments: str, **settings: str) -> Terminal:
        command = [str(SCRIPTS / "coffer-client"), *arguments]
        return Terminal(command, environment | house.settings() | settings, house.folder)

    return terminal


@pytest.fixture(scope="module")
def locked(house: House) -> str:
    save_keypair(str(house.folder / "locked.key"), house.keypairs["web"], "grüne Tür".encode())
    return "locked.key"


def test_a_whole_shard_is_not_shown_unasked(terminal: Open) -> None:
    shown = terminal("get")
    assert shown.end() == 2
    assert shown.screen == (
        "coffer-client: error: a whole shard is not shown on a terminal unasked\nhint: --show, or name one value\n"
    )


def test_a_whole_shard_is_shown_when_asked_for(terminal: Open) -> None:
    shown = terminal("get", "--show")
    assert shown.end() == 0
    assert shown.screen.startswith('PASSWORD = "tulip \\n"\nPORT = 5432\n')


def test_one_value_ends_with_a_newline_there_and_only_there(terminal: Open) -> None:
    shown = terminal("get", "PORT")
    assert (shown.end(), shown.screen) == (0, "5432\n")


def test_nothing_is_coloured_or_moves_the_cursor(terminal: Open) -> None:
    for arguments in (["get", "nothing"], ["ping"], ["--help"], ["run", "true"], ["get", "--show"]):
        shown = terminal(*arguments, TERM="xterm-256color")
        shown.end()
        assert "\x1b" not in shown.screen
        plain = terminal(*arguments, TERM="xterm-256color", NO_COLOR="1")
        plain.end()
        assert plain.screen.count("\n") == shown.screen.count("\n")


def test_the_command_has_the_terminal(terminal: Open) -> None:
    shown = terminal("run", "--", "sh", "-c", "test -t 0 && test -t 1 && read line && echo got $line $PORT")
    shown.type(b"typed\n")
    assert shown.end() == 0
    assert shown.screen == "typed\ngot typed 5432\n"


def test_a_passphrase_is_asked_for_and_not_echoed(terminal: Open, locked: str) -> None:
    shown = terminal("get", "PORT", "--key", locked)
    shown.wait_for(f"passphrase for {locked}: ")
    settle(lambda: not shown.echoes)
    shown.type("grüne Tür\n".encode())
    assert shown.end() == 0
    assert shown.screen == f"passphrase for {locked}: \n5432\n"


def test_a_wrong_passphrase_is_said_to_be(terminal: Open, locked: str) -> None:
    shown = terminal("get", "PORT", "--key", locked)
    shown.wait_for(f"passphrase for {locked}: ")
    settle(lambda: not shown.echoes)
    shown.type(b"guess\n")
    assert shown.end() == 78
    assert shown.screen.endswith("coffer-client: error: locked.key: line 3: the passphrase does not open this key\n")
    assert "guess" not in shown.screen


def test_the_passphrase_is_asked_on_the_terminal_whatever_stdin_and_stdout_are(
    house: House, environment: dict[str, str], locked: str
) -> None:
    piped = f"echo nonsense | coffer-client get PORT --key {locked} | cat > got"
    shown = Terminal(["sh", "-c", piped], environment | house.settings(), house.folder)
    shown.wait_for(f"passphrase for {locked}: ")
    settle(lambda: not shown.echoes)
    shown.type("grüne Tür\n".encode())
    assert (shown.end(), shown.screen) == (0, f"passphrase for {locked}: \n")
    assert (house.folder / "got").read_text() == "5432"


def test_ctrl_c_at_the_prompt_ends_it_and_puts_the_terminal_right(terminal: Open, locked: str) -> None:
    shown = terminal("get", "PORT", "--key", locked)
    shown.wait_for(f"passphrase for {locked}: ")
    settle(lambda: not shown.echoes)
    shown.type(CTRL_C)
    settle(lambda: shown.echoes)
    assert shown.end() == 130
    assert "Traceback" not in shown.screen


def test_no_passphrase_at_all_is_an_error(terminal: Open, locked: str) -> None:
    shown = terminal("get", "PORT", "--key", locked)
    shown.wait_for(f"passphrase for {locked}: ")
    settle(lambda: not shown.echoes)
    shown.type(b"\x04")
    assert shown.end() == 78
    assert f"coffer-client: error: passphrase for {locked}: nothing was typed\n" in shown.screen
    assert shown.screen.endswith("hint: name a file that holds the passphrase: --passphrase-file FILE\n")


@pytest.mark.parametrize("arguments", [["get", "PORT"], ["run", "--", "true"], ["ping"]])
def test_ctrl_c_while_it_waits_for_a_server_ends_it_quietly(terminal: Open, house: House, arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"coffer://{house.id('server')}@127.0.0.1:{silent.getsockname()[1]}"
        shown = terminal(*arguments, COFFER_SERVER=address)
        connection, _ = silent.accept()
        with connection:
            connection.recv(131)
            shown.type(CTRL_C)
            assert shown.end() == 130
    assert shown.screen == "^C"
