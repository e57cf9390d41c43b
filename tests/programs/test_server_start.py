"""coffer-server before it serves: what it needs, where it listens, and each start that fails in one clear line."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Run
from tower import CANARIES, Tower, until

from coffer.identity import format_id


@pytest.fixture
def tower(tmp_path: Path, environment: dict[str, str]) -> Iterator[Tower]:
    tower = Tower(tmp_path, environment)
    yield tower
    tower.close()


def refusal(tower: Tower, run: Run, *options: str, command: list[str] | None = None, **how: object) -> tuple[int, str]:
    """Exit code and stderr of a start that fails: one error, perhaps a hint, nothing on stdout, no traceback."""
    code, out, err = run(*(command or tower.command(*options)), **how)
    assert not out and re.fullmatch(r"coffer-server: error: [^\n]+\n(hint: [^\n]+\n)?", err), (out, err)
    assert not any(canary in err for canary in CANARIES)
    return code, err.removeprefix("coffer-server: error: ")


# ---- listening


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_says_where_it_listens_when_it_does(tower: Tower, host: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    tower.launch("--listen", f"{shown}:0", "--verbose")
    found = tower.await_line(rf"coffer-server: listening on {re.escape(shown)}:([0-9]+)\n")
    with socket.create_connection((host, int(found[1])), timeout=5):
        pass
    tower.await_line("where Hello was to come")
    assert tower.end() == 0
    assert tower.read_log().splitlines() == [
        "coffer-server: serving serial 1: 2 clients, 2 values",
        f"coffer-server: listening on {shown}:{found[1]}",
        "coffer-server: 1 worker, at most 10,000 connections each",
        "coffer-server: 127.0.0.1: the stream ends where Hello was to come"
        if host == "127.0.0.1"
        else "coffer-server: ::/64: the stream ends where Hello was to come",
        "coffer-server: draining",
        "coffer-server: stopped",
    ]


def test_it_listens_in_several_places(tower: Tower) -> None:
    tower.launch("--listen", "127.0.0.1:0", "--listen", "127.0.0.3:0", "--listen", "[::1]:0", "--workers", "3")
    tower.await_line("3 workers")
    places = re.findall(r"listening on (\S+):([0-9]+)", tower.read_log())
    assert [host for host, _ in places] == ["127.0.0.1", "127.0.0.3", "[::1]"]
    for host, port in places:
        tower.port = int(port)
        if ":" not in host:
            assert tower.fetch(host=host)


def test_settings_come_from_a_file_and_flags_win(tower: Tower, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        f'key = "server.key"\ncompanion = "{tower.id("companion")}"\ndefinition = "nowhere"\n'
        'listen = "127.0.0.1:0"\nworkers = 2\n'
    )
    command = ["coffer-server", "--settings", "s.toml", "--definition", "definition.coffer"]
    tower.command = lambda *_, **__: command  # type: ignore[method-assign]
    tower.open()
    assert tower.fetch() and "2 workers" in tower.read_log()


def test_two_keys_are_served_while_a_key_is_rotated(tower: Tower) -> None:
    """The definition is for one of them, clients may know either."""
    tower.seal('[web]\nPASSWORD = "tulip"\n', clients=("web",))
    tower.open("--key", "worker.key")
    assert tower.fetch() == tower.fetch(server="worker")
    with pytest.raises(AssertionError), tower.connect() as sock:
        sock.sendall(tower.session(server="stranger").hello)
        sock.settimeout(2)
        try:
            assert sock.recv(1)
        except ConnectionResetError:
            raise AssertionError("reset") from None


# ---- sockets that are handed over


def test_it_serves_on_the_sockets_that_systemd_hands_over(tower: Tower) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # LISTEN_PID is the process's own: a shell that execs knows it, as systemd does.
        shell = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *tower.command("--listen", "127.0.0.1:1")]
        tower.command = lambda *_, **__: shell  # type: ignore[method-assign]
        tower.launch(pass_fds=(3,), preexec_fn=lambda: os.dup2(listener.fileno(), 3))
        tower.await_line(rf"listening on 127\.0\.0\.1:{port}\n")
    tower.port = port
    for _ in range(3):
        assert tower.fetch()
    assert tower.end() == 0


def test_a_descriptor_that_is_no_listener_is_one_clear_line(tower: Tower, run: Run) -> None:
    shell = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', "sh", *tower.command()]
    code, err = refusal(tower, run, command=shell)
    assert (code, err) == (78, "$LISTEN_FDS: descriptor 3: Socket operation on non-socket\n")


# ---- starts that fail


@pytest.mark.parametrize(
    ("flags", "code", "line"),
    [
        ([], 78, "--key is missing\nhint: coffer-companion keygen -o server.key makes a key file\n"),
        (["--key"], 2, "argument --key: expected one argument\nhint: coffer-server --help\n"),
        (["--nonsense"], 2, "unrecognized arguments: --nonsense\nhint: coffer-server --help\n"),
        (
            ["chek", "--key", "a"],
            2,
            "argument VERB: invalid choice: 'chek' (choose from serve, check, reload, completion)\n"
            "hint: did you mean check? All there are: coffer-server --help\n",
        ),
        (["check", "--work", "1"], 2, "unrecognized arguments: --work 1\nhint: coffer-server check --help\n"),
        (["--settings", "none.toml"], 78, "none.toml: No such file or directory\n"),
        (["reload"], 78, "--run-dir is missing\nhint: it is the --run-dir that the server was started with\n"),
    ],
)
def test_a_command_line_that_cannot_be_is_one_clear_line(
    tower: Tower, run: Run, flags: list[str], code: int, line: str
) -> None:
    assert refusal(tower, run, command=["coffer-server", *flags]) == (code, line)


Spoil = Callable[[Tower], object]


def taken_port(tower: Tower) -> list[str]:
    tower.open()
    other = [word if word != "run" else "run2" for word in tower.command("--listen", f"127.0.0.1:{tower.port}")]
    (tower.folder / "run2").mkdir()
    return other


def taken_run_dir(tower: Tower) -> list[str]:
    tower.open()
    return tower.command()


@pytest.mark.parametrize(
    ("spoil", "code", "line"),
    [
        (
            lambda t: (t.folder / "server.key").unlink(),
            78,
            "server.key: No such file or directory\nhint: coffer-companion keygen -o FILE makes a key file\n",
        ),
        (
            lambda t: (t.folder / "server.key").chmod(0o644),
            78,
            "server.key: readable by others (mode 0644)\nhint: chmod 0600 server.key\n",
        ),
        (lambda t: (t.folder / "definition.coffer").unlink(), 78, "definition.coffer: No such file or directory\n"),
        (
            lambda t: (t.folder / "definition.coffer").write_bytes(b""),
            3,
            "definition.coffer: empty\nhint: copy it again, whole\n",
        ),
        (
            lambda t: t.keypairs.update(companion=t.keypairs["web"]),
            3,
            "definition.coffer: sealed by companion COMPANION, whom nobody told us to trust\n"
            "hint: if that is your companion, name it with --companion\n",
        ),
        (
            lambda t: os.rename(t.folder / "worker.key", t.folder / "server.key"),
            3,
            "definition.coffer: sealed for server SERVER, not for this one\nhint: seal it with --server WORKER\n",
        ),
        (
            taken_port,
            78,
            "--listen: 127.0.0.1:PORT: Address already in use\n"
            "hint: another server runs there, perhaps this one: ss -ltnp shows which\n",
        ),
        (
            taken_run_dir,
            78,
            "--run-dir: run/control.sock: another coffer-server is running there\nhint: give each its own --run-dir\n",
        ),
        (lambda t: t.run_dir.rmdir(), 78, "--run-dir: run: not a directory\nhint: mkdir -m 0700 run\n"),
    ],
    ids=["no key", "open key", "no definition", "empty", "companion", "server", "port", "run-dir", "no run-dir"],
)
def test_a_start_that_fails_is_one_clear_line(tower: Tower, run: Run, spoil: Spoil, code: int, line: str) -> None:
    for name in ("companion", "server", "worker"):
        line = line.replace(name.upper(), tower.id(name))
    command = spoil(tower)
    line = line.replace("PORT", str(tower.port))
    assert refusal(tower, run, command=command if isinstance(command, list) else tower.command()) == (code, line)


@pytest.mark.parametrize("limit", [6, 33])
def test_a_limit_of_descriptors_that_leaves_nothing_is_one_clear_line(tower: Tower, run: Run, limit: int) -> None:
    command = ["prlimit", f"--nofile={limit}:{limit}", *tower.command("--workers", "2")]
    assert refusal(tower, run, command=command) == (
        78,
        f"the limit of {limit} open files is too low, 34 are the least (`ulimit -n`)\n"
        "hint: LimitNOFILE= under systemd, --ulimit nofile= in a container\n",
    )


def test_closed_standard_streams_harm_nobody(tower: Tower) -> None:
    """No socket may take their numbers: what is logged would be written into it."""
    command = tower.command("--verbose")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        tower.port = probe.getsockname()[1]
    command[command.index("--listen") + 1] = f"127.0.0.1:{tower.port}"
    tower.command = lambda *_, **__: ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]  # type: ignore[method-assign]
    tower.launch()
    until(lambda: listens(tower.port))
    for _ in range(5):
        assert tower.fetch()
    assert tower.end() == 0


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# ---- check


def test_check_says_what_would_be_served_also_beside_the_server(tower: Tower, run: Run) -> None:
    tower.open()
    assert run("coffer-server", "check", *tower.command()[1:]) == (
        0,
        "definition.coffer: serial 1: 2 clients, 2 values\nwould listen on 127.0.0.1:0\n",
        "",
    )
    assert tower.fetch()


def test_check_refuses_what_a_start_would_refuse(tower: Tower, run: Run) -> None:
    (tower.folder / "definition.coffer").write_bytes(b"x")
    code, err = refusal(tower, run, command=["coffer-server", "check", *tower.command()[1:]])
    assert code == 3 and err.startswith("definition.coffer: not a sealed definition")
    code, err = refusal(tower, run, command=["coffer-server", "check", *tower.command("--listen", "a b:1")[1:]])
    assert code == 78 and err.startswith("--listen: a b:1: ")


def test_check_that_cannot_say_what_it_found_says_that(tower: Tower, run: Run) -> None:
    def check(closing: str) -> tuple[int, str, str]:
        return run("sh", "-c", f'exec "$@" {closing}', "sh", "coffer-server", "check", *tower.command()[1:])

    assert check("2>&-")[0] == check("<&- 2>&-")[0] == 0
    assert check(">&-") == (78, "", "coffer-server: error: standard output: closed\n")
    assert check("<&- >&- 2>&-") == (78, "", "")


def test_check_gives_advice_without_a_value(tower: Tower, run: Run) -> None:
    tower.seal('[web]\nPASSWORD = "changeme"\n', clients=("web",))
    code, out, err = run("coffer-server", "check", *tower.command()[1:])
    assert code == 0 and out.startswith("definition.coffer: serial 2: 1 client, 1 value\n")
    assert err == (
        "definition.coffer:4:1: warning: [web] PASSWORD: a value that looks like one still to be filled in"
        " (placeholder)\n"
        "  hint: coffer-companion set --generate 32\n"
    )
    assert "changeme" not in out + err


def test_check_leaves_no_trace_of_itself(tower: Tower, run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    run("coffer-server", "check", *tower.command("--state-dir", "state")[1:])
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_server_id_is_that_of_its_key_and_nothing_else_is_printed(tower: Tower) -> None:
    tower.open()
    tower.fetch()
    log = tower.read_log()
    assert format_id(tower.keypairs["web"].public) not in log
    assert subprocess.run(["grep", "-c", "Traceback", tower.log_path], capture_output=True).stdout == b"0\n"
