"""coffer-client run --watch with real children: signals, exit codes, changes, and servers that go away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SCRIPTS
from house import House, children_of
from terminal import CTRL_C, Terminal, settle

# A child that says what it got and which signals came, and lives until it is told.
# It sleeps in short turns: a signal that comes just before signal.pause() would be heard only with the next one.
CHILD = """
import os, signal, sys, time
def note(text):
    with open("notes", "a") as file:
        file.write(text + "\\n")
def heard(number, frame):
    note(signal.Signals(number).name)
    if number in (signal.SIGTERM, signal.SIGINT) and "--deaf" not in sys.argv:
        sys.exit(7)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGWINCH):
    signal.signal(number, heard)
file = os.environ.get("COLOUR_FILE")
note(f"start {os.environ.get('COLOUR') or open(file).read()}")
while True:
    time.sleep(0.05)
"""


class Watched:
    """A supervised command. ``notes`` is what its child wrote, ``told`` what coffer-client said."""

    def __init__(self, house: House, *flags: str, child: tuple[str, ...] = ()) -> None:
        self.folder = house.folder
        command = [str(SCRIPTS / "coffer-client"), "run", "--watch", "1s", "--retries", "0", *flags, "--"]
        with (house.folder / "told").open("w") as told:
            self.process = subprocess.Popen(
                [*command, *(child or ("python3", "-c", CHILD))],
                env=house.environment | house.settings(),
                cwd=house.folder,
                stderr=told,
                start_new_session=True,
            )

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def told(self) -> list[str]:
        return (self.folder / "told").read_text().splitlines()

    def wait_for(self, *notes: str, seconds: float = 15) -> None:
        settle(lambda: self.notes == list(notes), seconds)


@pytest.fixture
def watch(own_house: House) -> Iterator[Callable[..., Watched]]:
    own_house.change('[web]\nCOLOUR = "red"\nSHAPE = "round"\n')
    started: list[Watched] = []

    def watch(*flags: str, **options: tuple[str, ...]) -> Watched:
        started.append(Watched(own_house, *flags, **options))
        return started[-1]

    yield watch
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


# ---- exit codes and signals


@pytest.mark.parametrize("code", [0, 1, 125, 255])
def test_the_exit_code_comes_back(watch, code: int) -> None:
    assert watch(child=("sh", "-c", f"exit {code}")).process.wait(15) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, signal.SIGPIPE])
def test_the_end_by_a_signal_comes_back_as_128_and_its_number(watch, number: int) -> None:
    watched = watch(child=("sh", "-c", f"ulimit -c 0; kill -{int(number)} $$"))
    assert watched.process.wait(15) == 128 + number


def test_a_command_that_cannot_start_ends_with_127_or_126(watch) -> None:
    assert watch(child=("no-such-command",)).process.wait(15) == 127
    assert watch(child=("/",)).process.wait(15) == 126


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGWINCH"])
def test_a_signal_to_us_reaches_the_command(watch, name: str) -> None:
    watched = watch()
    watched.wait_for("start red")
    watched.process.send_signal(getattr(signal, name))
    watched.wait_for("start red", name)
    assert watched.process.poll() is None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_command_that_ends_on_a_signal_ends_us_with_its_code(watch, name: str) -> None:
    watched = watch()
    watched.wait_for("start red")
    watched.process.send_signal(getattr(signal, name))
    assert watched.process.wait(15) == 7
    assert watched.notes == ["start red", name]


def test_a_second_term_kills(watch) -> None:
    watched = watch(child=("python3", "-c", CHILD, "--deaf"))
    watched.wait_for("start red")
    watched.process.send_signal(signal.SIGTERM)
    watched.wait_for("start red", "SIGTERM")
    time.sleep(0.5)
    assert watched.process.poll() is None
    watched.process.send_signal(signal.SIGTERM)
    assert watched.process.wait(15) == 128 + signal.SIGKILL


def test_a_term_to_the_whole_group_is_one_and_kills_nothing(watch) -> None:
    """What ``timeout`` does: the same signal to its child, and at once to the group."""
    watched = watch(child=("python3", "-c", CHILD, "--deaf"))
    watched.wait_for("start red")
    watched.process.send_signal(signal.SIGTERM)
    os.killpg(watched.process.pid, signal.SIGTERM)
    time.sleep(0.5)
    assert watched.process.poll() is None


@pytest.mark.plain
def test_the_command_has_the_signals_that_we_were_started_with(watch, own_house: House) -> None:
    assert watch(child=("sh", "-c", "cat /proc/self/status > status")).process.wait(15) == 0
    pythons_own = {signal.SIGPIPE, signal.SIGXFSZ}
    status = (own_house.folder / "status").read_text()
    assert ignored_by(status) == ignored_by(Path("/proc/self/status").read_text()) - pythons_own, "under nohup, HUP"
    assert re.findall(r"Sig(?:Blk|Cgt):\t(\w+)", status) == ["0" * 16] * 2


def ignored_by(status: str) -> set[int]:
    """Return the signals that a process ignores, but for 32 and 33: glibc's posix_spawn has every child do so."""
    mask = int(re.findall(r"SigIgn:\t(\w+)", status)[0], 16)
    return {number for number in range(1, 65) if mask >> number - 1 & 1} - {32, 33}


# ---- changes


def test_a_change_restarts_the_command_with_the_new_values(watch, own_house: House) -> None:
    watched = watch()
    watched.wait_for("start red")
    own_house.change('[web]\nCOLOUR = "blue"\n')
    watched.wait_for("start red", "SIGTERM", "start blue")
    assert watched.process.poll() is None and len(children_of(watched.process.pid)) == 1
    assert watched.told == ["coffer-client: values changed: restarting the command"]


def test_only_what_the_command_receives_counts(watch, own_house: House) -> None:
    watched = watch("--only", "COLOUR")
    watched.wait_for("start red")
    own_house.change('[web]\nCOLOUR = "red"\nSHAPE = "square"\nNEW = 1\n')
    time.sleep(2.5)
    assert watched.notes == ["start red"] and watched.told == []


def test_a_change_is_a_signal_if_that_is_asked_for(watch, own_house: House) -> None:
    watched = watch("--on-change", "signal:HUP")
    watched.wait_for("start red")
    own_house.change('[web]\nCOLOUR = "blue"\n')
    watched.wait_for("start red", "SIGHUP")
    time.sleep(1.5)
    assert watched.notes == ["start red", "SIGHUP"]
    assert watched.told == ["coffer-client: values changed: SIGHUP to the command"]


def test_files_hold_the_new_values_when_the_signal_comes_and_nothing_at_the_end(watch, own_house: House) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        watched = watch("--on-change", "signal:USR1", "--files", f"{memory}/web", "--only", "COLOUR")
        watched.wait_for("start red")
        own_house.change('[web]\nCOLOUR = "blue"\n')
        watched.wait_for("start red", "SIGUSR1")
        assert Path(memory, "web", "COLOUR").read_text() == "blue"
        watched.process.terminate()
        assert watched.process.wait(15) == 7
        assert os.listdir(Path(memory, "web")) == []


def test_a_command_that_takes_its_files_away_ends_with_its_own_exit_code(watch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        watched = watch("--files", f"{memory}/web", child=("sh", "-c", f"rm -r {memory}/web; exit 3"))
        assert (watched.process.wait(15), watched.told) == (3, [])
        watched = watch("--files", f"{memory}/web", child=("sh", "-c", f"touch {memory}/web/mine; exit 3"))
        assert watched.process.wait(15) == 3
        left = f"coffer-client: warning: secrets are left behind: {memory}/web: holds 'mine', which coffer did not put"
        assert watched.told == [f"{left} there"]


def test_a_command_deaf_to_term_is_killed_and_restarted(watch, own_house: House) -> None:
    watched = watch(child=("python3", "-c", CHILD, "--deaf"))
    watched.wait_for("start red")
    own_house.change('[web]\nCOLOUR = "blue"\n')
    watched.wait_for("start red", "SIGTERM", "start blue", seconds=25)
    assert watched.process.poll() is None


def test_a_term_while_the_command_restarts_is_the_end(watch, own_house: House) -> None:
    watched = watch(child=("python3", "-c", CHILD, "--deaf"))
    watched.wait_for("start red")
    own_house.change('[web]\nCOLOUR = "blue"\n')
    watched.wait_for("start red", "SIGTERM")
    watched.process.terminate()
    watched.wait_for("start red", "SIGTERM", "SIGTERM")
    os.kill(children_of(watched.process.pid)[0], signal.SIGKILL)
    assert watched.process.wait(15) == 128 + signal.SIGKILL
    assert watched.notes[-1] == "SIGTERM"


# ---- outages


def test_an_outage_never_touches_the_command(watch, own_house: House) -> None:
    watched = watch()
    watched.wait_for("start red")
    own_house.stop()
    settle(lambda: len(watched.told) == 1)
    time.sleep(2.5)
    own_house.start()
    settle(lambda: len(watched.told) == 2)
    refused = f"127.0.0.1:{own_house.port}: Connection refused"
    assert watched.told == [
        f"coffer-client: {refused}; the command goes on with the values it has",
        "coffer-client: the values can be looked at again",
    ]
    assert watched.notes == ["start red"] and watched.process.poll() is None


def test_a_server_that_forgets_the_client_does_not_touch_the_command(watch, own_house: House) -> None:
    watched = watch("--cache", "web.cache")
    watched.wait_for("start red")
    own_house.change("", clients=("worker",))
    settle(lambda: len(watched.told) == 1)
    assert "the server does not know this client; the command goes on" in watched.told[0]
    assert watched.notes == ["start red"] and watched.process.poll() is None


def test_a_change_that_cannot_be_handed_over_does_not_touch_the_command(watch, own_house: House) -> None:
    watched = watch("--require", "COLOUR")
    watched.wait_for("start red")
    own_house.change('[web]\nSHAPE = "square"\n')
    settle(lambda: len(watched.told) == 1)
    assert watched.told == ["coffer-client: no value named 'COLOUR'; the command goes on with the values it has"]
    own_house.change('[web]\nCOLOUR = "blue"\n')
    watched.wait_for("start red", "SIGTERM", "start blue")


def test_a_signal_is_handed_on_while_a_look_hangs(watch, own_house: House) -> None:
    watched = watch("--timeout", "30")
    watched.wait_for("start red")
    with own_house.frozen():
        settle(lambda: len(os.listdir(f"/proc/{watched.process.pid}/task")) == 2)  # the look has a thread of its own
        time.sleep(0.5)
        start = time.monotonic()
        watched.process.terminate()
        assert watched.process.wait(15) == 7
        assert time.monotonic() - start < 10


# ---- a terminal


def test_ctrl_c_reaches_the_command_once(own_house: House, environment: dict[str, str]) -> None:
    own_house.change('[web]\nCOLOUR = "red"\n')
    command = [str(SCRIPTS / "coffer-client"), "run", "--watch", "1m", "--", "python3", "-c", CHILD, "--deaf"]
    shown = Terminal(command, environment | own_house.settings(), own_house.folder)
    notes = own_house.folder / "notes"
    settle(lambda: notes.exists() and notes.read_text() == "start red\n", 15)
    shown.type(CTRL_C)
    settle(lambda: notes.read_text() == "start red\nSIGINT\n")
    time.sleep(0.5)
    assert notes.read_text() == "start red\nSIGINT\n"
    shown.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    shown.process.send_signal(signal.SIGTERM)
    assert shown.end() == 128 + signal.SIGKILL
