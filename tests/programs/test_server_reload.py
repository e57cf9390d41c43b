"""coffer-server and a definition that changes: three ways to ask, every verdict, and what goes on being served."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tower import CANARIES, Manager, Tower, contains_none, take, until

from coffer import codec

FIRST = '[web]\nNUMBER = 1\n[worker]\nTOKEN = "canary-77aa-never-seen"\n'


def numbered(number: int) -> str:
    return FIRST.replace("NUMBER = 1", f"NUMBER = {number}")


@pytest.fixture
def tower(tmp_path: Path, environment: dict[str, str]) -> Iterator[Tower]:
    tower = Tower(tmp_path, environment)
    tower.serial = 0
    tower.seal(FIRST)
    yield tower
    tower.close()
    if tower.process is not None:
        assert contains_none([tower.read_log()]) and "Traceback" not in tower.read_log(), tower.read_log()


def number(tower: Tower) -> int:
    return int(dict(codec.decode(tower.fetch()))["NUMBER"])


# ---- asking


def test_reload_waits_for_the_verdict_and_tells_it(tower: Tower) -> None:
    tower.open("--workers", "2")
    tower.seal(numbered(2), clients=("web", "worker"))
    done = tower.reload()
    verdict = "serving serial 2: 2 clients, 2 values (ids: 0 new, 0 gone, 1 changed)"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{verdict}\n", "")
    assert {number(tower) for _ in range(8)} == {2}, "all workers have it when the verdict is there"
    tower.seal(numbered(2).replace("[worker]", "[stranger]"), clients=("web", "stranger"))
    assert tower.reload().stdout.endswith("(ids: 1 new, 1 gone, 0 changed)\n")
    done = tower.reload()
    assert (done.returncode, done.stdout) == (0, "serial 3 is served already: nothing has changed\n")
    assert tower.read_log().count(verdict) == 1


def test_a_hangup_reloads(tower: Tower) -> None:
    tower.open("--workers", "2")
    tower.seal(numbered(2))
    assert tower.process
    tower.process.send_signal(signal.SIGHUP)
    tower.await_line("serving serial 2: ")
    assert number(tower) == 2


def test_reload_on_change_looks_every_second_and_says_a_refusal_once(tower: Tower) -> None:
    with contextlib.closing(Manager(tower.folder)) as manager:
        tower.open("--reload-on-change", env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"})
        tower.seal(numbered(2))
        tower.await_line("serving serial 2: ", 2.5)
        (tower.folder / "definition.coffer").write_text("half of i")
        tower.await_line("reload refused", 2.5)
        # Half seconds by the server's own clock: at least one look lies between the second and the fifth.
        beats = manager.heard.count("WATCHDOG=1")
        until(lambda: manager.heard.count("WATCHDOG=1") >= beats + 5)
    (tower.folder / "definition.coffer").unlink()
    tower.seal(numbered(3))
    tower.await_line("serving serial 3: ", 2.5)
    assert number(tower) == 3
    assert tower.read_log().count("reload refused") == 1


def test_without_a_server_reload_says_so(tower: Tower) -> None:
    done = tower.reload()
    assert done.returncode == 69
    assert done.stderr == (
        "coffer-server: error: run/control.sock: No such file or directory\n"
        "hint: is coffer-server running with this --run-dir?\n"
    )


def test_the_service_manager_names_the_run_directory(tower: Tower, run: Callable[..., tuple[int, str, str]]) -> None:
    tower.open()
    environment = {"RUNTIME_DIRECTORY": f"{tower.run_dir}:/nowhere"}
    assert run("coffer-server", "reload", env=environment)[:2] == (
        0, "serial 1 is served already: nothing has changed\n",
    )  # fmt: skip


# ---- verdicts


Spoil = Callable[[Tower], object]
FILE = "definition.coffer"


def write(data: bytes) -> Spoil:
    return lambda tower: (tower.folder / FILE).write_bytes(data)


def replace(make: Callable[[Path], object]) -> Spoil:
    def spoil(tower: Tower) -> None:
        (tower.folder / FILE).unlink()
        make(tower.folder / FILE)

    return spoil


def cut(tower: Tower) -> None:
    tower.seal(numbered(2))
    whole = (tower.folder / FILE).read_bytes()
    (tower.folder / FILE).write_bytes(whole[: len(whole) // 2])


def altered(tower: Tower) -> None:
    tower.seal(numbered(2))
    lines = (tower.folder / FILE).read_bytes().split(b"\n")
    lines[4] = lines[4].translate(bytes.maketrans(b"ABCDabcd", b"BCDAbcda"))
    (tower.folder / FILE).write_bytes(b"\n".join(lines))


def sealed_by(role: str, other: str) -> Spoil:
    def spoil(tower: Tower) -> None:
        kept = tower.keypairs[role]
        tower.keypairs[role] = tower.keypairs[other]
        tower.seal(numbered(2))
        tower.keypairs[role] = kept

    return spoil


def sealed(text: str, serial: int = 2) -> Spoil:
    def spoil(tower: Tower) -> None:
        tower.serial = serial - 1
        tower.seal(text)

    return spoil


LOWER = (
    "definition.coffer: serial 4 is older than 5, which was served last",
    "to go back on purpose, seal the old text anew: coffer-companion open OLD --key companion.key |"
    " coffer-companion seal - --key companion.key --server ID -o FILE",
)
EQUAL = (
    "definition.coffer: serial 5 was served before with other contents",
    "two people sealed at once: seal again, over the newest file",
)
COPY = "copy it again, whole"
BAD: dict[str, tuple[Spoil, int, str, str | None]] = {
    "missing": (lambda tower: (tower.folder / FILE).unlink(), 78, "definition.coffer: No such file or directory", None),
    "empty": (write(b""), 3, "definition.coffer: empty", COPY),
    "a directory": (replace(Path.mkdir), 78, "definition.coffer: not a regular file", None),
    "a FIFO": (replace(os.mkfifo), 78, "definition.coffer: not a regular file", None),
    "no armour": (
        write(numbered(2).encode()), 3,
        "definition.coffer: not a sealed definition: it begins with -----BEGIN COFFER DEFINITION-----",
        "coffer-companion seal makes one of a definition in clear",
    ),
    "cut": (cut, 3, "definition.coffer: cut off: a sealed definition ends with -----END COFFER DEFINITION-----", COPY),
    "altered": (altered, 3, "definition.coffer: altered or damaged: it does not open", COPY),
    "another companion": (
        sealed_by("companion", "stranger"), 3,
        "definition.coffer: sealed by companion STRANGER, whom nobody told us to trust",
        "if that is your companion, name it with --companion",
    ),
    "another server": (
        sealed_by("server", "stranger"), 3, "definition.coffer: sealed for server STRANGER, not for this one",
        "seal it with --server SERVER",
    ),
    "lower": (sealed(FIRST, 4), 3, *LOWER),
    "equal": (sealed(numbered(9), 5), 3, *EQUAL),
    "not TOML": (sealed("[web\nX = 'canary-77aa-never-seen'", 6), 3, "definition.coffer: line 4, column 5: ", None),
    "an oversize shard": (sealed(f"[web]\nX = '{'x' * 65300}'\n", 6), 3, "definition.coffer: [web]", None),
}  # fmt: skip


def test_each_bad_definition_is_refused_in_one_line_and_the_old_one_keeps_serving(tower: Tower) -> None:
    """One server for all of them: none may leave anything behind."""
    tower.serial = 4
    tower.seal(FIRST)
    tower.open()
    good = (tower.folder / FILE).read_bytes()
    ids = {name.upper(): tower.id(name) for name in ("stranger", "server")}
    for name, (spoil, code, message, hint) in BAD.items():
        spoil(tower)
        done = tower.reload()
        line, *rest = done.stderr.splitlines()
        wanted = re.sub("STRANGER|SERVER", lambda found: ids[found[0]], message)
        refused = "coffer-server: error: reload refused, serial 5 keeps serving: "
        assert line.startswith(f"{refused}{wanted}"), (name, done.stderr)
        assert (done.returncode, done.stdout) == (code, ""), name
        if hint:
            assert rest == [re.sub("STRANGER|SERVER", lambda found: ids[found[0]], f"hint: {hint}")], name
        assert contains_none([done.stderr]) and len(rest) <= 1
        shown = line.removeprefix("coffer-server: error: ")
        assert f"coffer-server: {shown}\n" in tower.read_log()
        assert number(tower) == 1, name
        if (tower.folder / FILE).is_dir():
            (tower.folder / FILE).rmdir()
        (tower.folder / FILE).unlink(missing_ok=True)
        (tower.folder / FILE).write_bytes(good)
    tower.serial = 5
    tower.seal(numbered(6))
    assert tower.reload().returncode == 0 and number(tower) == 6


def test_a_session_keeps_the_table_under_which_it_said_hello(tower: Tower) -> None:
    tower.open()
    sock, session, get = tower.linked()
    tower.seal(numbered(2))
    assert tower.reload().returncode == 0
    with sock:
        sock.sendall(get)
        session.receive(take(sock, 3 + 16 + 256))
    assert session.response and dict(codec.decode(session.response))["NUMBER"] == 1
    assert number(tower) == 2


def test_signals_during_a_load_make_one_more_load(tower: Tower) -> None:
    tower.open()
    with Stopped(tower):
        for turn in range(2, 7):
            tower.seal(numbered(turn))
            assert tower.process
            tower.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
    tower.await_line("serving serial 6: ")
    time.sleep(0.3)
    loads = re.findall("serving serial ([0-9]+)|serial ([0-9]+) is served already", tower.read_log())
    assert len(loads) <= 3 and loads[-1][0] == "6", loads
    assert number(tower) == 6


class Stopped:
    """Keep a reload from ending for a while: its worker does not acknowledge."""

    def __init__(self, tower: Tower) -> None:
        self.pid = tower.children[0]

    def __enter__(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGCONT)


# ---- restarts


def test_a_restart_refuses_what_the_one_before_had_left_behind(tower: Tower) -> None:
    (tower.folder / "state").mkdir()
    state = ("--state-dir", "state")
    old = (tower.folder / FILE).read_bytes()
    tower.open(*state)
    tower.seal(numbered(2))
    assert tower.reload().returncode == 0
    assert tower.end() == 0
    kept = json.loads((tower.folder / "state" / "last-definition.json").read_text())
    assert (kept["serial"], kept["companion"]) == (2, tower.id("companion"))
    tower.open(*state)
    assert tower.end() == 0, "the same one is taken"
    (tower.folder / FILE).write_bytes(old)
    tower.launch(*state)
    assert tower.process and tower.process.wait(10) == 3
    assert "serial 1 is older than 2, which was served last\nhint: to go back on purpose" in tower.read_log()
    tower.open()
    assert number(tower) == 1, "without a state directory nothing is remembered"


def test_a_definition_that_cannot_be_remembered_is_not_served(tower: Tower) -> None:
    (tower.folder / "state").mkdir()
    tower.open("--state-dir", "state")
    (tower.folder / "state" / "last-definition.json").unlink()
    (tower.folder / "state").rmdir()
    tower.seal(numbered(2))
    done = tower.reload()
    assert done.returncode == 78
    refused = "reload refused, serial 1 keeps serving: state/last-definition.json: No such file or directory"
    assert done.stderr == f"coffer-server: error: {refused}\n"
    assert number(tower) == 1
    os.kill(tower.children[0], signal.SIGKILL)
    tower.await_line("a worker died")
    until(lambda: tower.children)
    assert number(tower) == 1, "nor by a worker that comes later"


def test_an_unreadable_memory_stops_the_start(tower: Tower) -> None:
    (tower.folder / "state").mkdir()
    (tower.folder / "state" / "last-definition.json").write_text("{}")
    tower.launch("--state-dir", "state")
    assert tower.process and tower.process.wait(10) == 78
    assert tower.read_log() == (
        "coffer-server: error: state/last-definition.json: unreadable, so an older definition could not be told from a"
        " newer one\nhint: remove it only if you know that the definition is the newest\n"
    )


# ---- the end


def test_whoever_waits_for_a_reload_is_told_when_the_server_stops(tower: Tower) -> None:
    tower.run_dir = tower.run_dir.rename(tower.folder / f"run-{os.getpid()}")  # a name that no other test has
    tower.open()
    with Stopped(tower):
        answers: list[tuple[int, str]] = []

        def ask() -> None:
            done = tower.reload()
            answers.append((done.returncode, done.stderr))

        tower.seal(numbered(2))
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: tower.askers == 2)
        assert tower.process
        tower.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(10)
    assert answers == [(69, "coffer-server: error: the server is stopping\n")] * 2
    assert tower.process.wait(10) == 0
    assert not list(tower.run_dir.iterdir()), "the control socket is gone"


def test_canaries_are_in_what_is_served(tower: Tower) -> None:
    """Or looking for them in logs would prove nothing."""
    tower.open()
    assert CANARIES[1].encode() in tower.fetch("worker")
