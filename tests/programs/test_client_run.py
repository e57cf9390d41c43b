"""coffer-client run, beyond the plain case: selection, files in memory, a clean environment, and outages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SCRIPTS, Outcome, Run
from house import House
from test_client import client, client_of, error, own_client

__all__ = ["client", "own_client"]  # fixtures

CANARY = "canary-4711"


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def variables(done: Outcome) -> dict[str, str]:
    assert (done.code, done.err) == (0, "")
    return dict(each.partition("=")[::2] for each in done.out.split("\0") if each)


# ---- what the command is given


def test_a_clean_environment_holds_the_secrets_alone(client) -> None:
    assert list(variables(client("run", "--clean", "--", "env", "-0"))) == [
        "PASSWORD",
        "PORT",
        "DEBUG",
        "RATIO",
        "SINCE",
    ]


def test_a_clean_environment_keeps_what_is_asked_for_and_never_coffers(client) -> None:
    found = variables(client("run", "--keep", "HO*", "--keep", "COFFER_*", "--only", "PORT", "--", "env", "-0"))
    assert list(found) == ["HOME", "PORT"]


def test_only_some_values_with_a_prefix(client) -> None:
    done = client("run", "--only", "PORT,DEBUG", "--prefix", "APP_", "--clean", "--", "env", "-0")
    assert variables(done) == {"APP_PORT": "5432", "APP_DEBUG": "false"}


def test_what_is_required_and_missing_starts_nothing(client, tmp_path: Path) -> None:
    for flag in ("--require", "--only"):
        for nothing in ("", " , "):
            assert client("run", flag, nothing, "--", "true") == (
                125,
                "",
                f"coffer-client: error: argument {flag}: {nothing!r} names no value\nhint: coffer-client run --help\n",
            )
        assert client("run", flag, "PORT,PASWORD", "--", "touch", "started") == (
            125,
            "",
            error("no value named 'PASWORD'", "did you mean PASSWORD?"),
        )
    assert not (tmp_path / "started").exists()


# ---- files


def test_a_folder_may_have_a_name_that_is_no_text(client, memory: Path) -> None:
    folder = os.fsencode(memory) + b"/\xff"
    show = ["--", "sh", "-c", 'cat "$PORT_FILE"']
    assert client("run", "--files", os.fsdecode(folder), "--only", "PORT", *show) == (0, "5432", "")


def test_values_are_handed_over_as_files(client, memory: Path) -> None:
    flags = ["--files", f"{memory}/web", "--only", "PASSWORD,PORT"]
    script = 'stat -c "%a %n" "$PASSWORD_FILE"; cat "$PASSWORD_FILE"; echo "$PORT_FILE ${PORT-unset}"'
    assert client("run", *flags, "--", "sh", "-c", script) == (
        0,
        f"400 {memory}/web/PASSWORD\ntulip \n{memory}/web/PORT unset\n",
        "",
    )


def test_files_go_nowhere_but_into_memory(client, tmp_path: Path) -> None:
    assert client("run", "--files", "here", "--", "touch", "started") == (
        125,
        "",
        error("here: on disk", "name one in memory: under $XDG_RUNTIME_DIR, /run or /dev/shm"),
    )
    assert not (tmp_path / "here").exists() and not (tmp_path / "started").exists()


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_no_byte_of_a_value_is_written_to_a_disk(own_house: House, memory: Path, environment: dict[str, str]) -> None:
    """strace sees every file that is opened for writing, and every byte written, of every process."""
    own_house.change(f'[web]\nSECRET = "{CANARY}"\n')
    trace = own_house.folder / "trace"
    strace = ["strace", "-f", "-y", "-s", "4096", "-e", "trace=write,pwrite64,writev,sendto", "-o", str(trace)]
    command = [str(SCRIPTS / "coffer-client"), "run", "--files", f"{memory}/web", "--cache", "web.cache", "--", "true"]
    subprocess.run([*strace, *command], env=environment | own_house.settings(), cwd=own_house.folder, check=True)
    writes = [line for line in trace.read_text().splitlines() if CANARY in line]
    assert writes and all(f"<{memory}/web/" in line for line in writes), writes
    trace.unlink()
    on_disk = [path for path in own_house.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert on_disk == []


# ---- outages


def test_the_last_shard_stands_in_for_a_server_that_is_down(own_client, own_house: House) -> None:
    cache = ["--cache", "web.cache", "--retries", "0"]
    assert own_client("run", *cache, "--", "true") == (0, "", "")
    own_house.stop()
    line = f"coffer-client: 127.0.0.1:{own_house.port}: Connection refused: going on with web.cache, which is 0 s old\n"
    assert youngest(own_client("run", *cache, "--", "sh", "-c", "echo $PORT")) == (0, "5432\n", line)
    assert youngest(own_client("get", "PORT", *cache)) == (0, "5432", line)
    offline = "coffer-client: offline: going on with web.cache, which is 0 s old\n"
    assert youngest(own_client("get", "PORT", "--offline", *cache)) == (0, "5432", offline)


def youngest(done: Outcome) -> Outcome:
    """A cache saved less than ten seconds ago, on a busy machine, as one saved just now."""
    return done._replace(err=re.sub(r"which is \d s old", "which is 0 s old", done.err))


def test_a_client_that_was_taken_off_gets_nothing_from_its_cache(own_client, own_house: House) -> None:
    cache = ["--cache", "web.cache"]
    assert own_client("run", *cache, "--", "true").code == 0
    own_house.change("", clients=("worker",))
    assert own_client("run", *cache, "--", "touch", "started") == (
        125,
        "",
        error(
            f"127.0.0.1:{own_house.port}: the server does not know this client",
            f"its id is {own_house.id('web')}: add that to [clients] of the definition, and seal it again; what was "
            "its shard is still in its cache, and this deletes it: rm web.cache",
        ),
    )
    assert not (own_house.folder / "started").exists()


def test_a_cache_of_another_client_is_of_no_use(own_client, own_house: House) -> None:
    own_client("run", "--cache", "web.cache", "--", "true")
    own_house.stop()
    done = own_client("get", "--offline", "--cache", "web.cache", env=own_house.settings("worker"))
    assert done == (78, "", error(f"web.cache: it belongs to client {own_house.id('web')}, which is not this key"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--offline"], "--offline: there is no --cache"),
        (["--max-stale", "1d"], "--max-stale: there is no --cache"),
    ],
)
def test_flags_that_need_another_say_so(client, flags: list[str], message: str) -> None:
    assert client("run", *flags, "--", "true") == (125, "", error(message, "coffer-client run --help"))
    assert client("get", *flags) == (2, "", error(message, "coffer-client get --help"))


def test_flags_of_watch_that_make_no_sense_say_so(client) -> None:
    assert client("run", "--on-change", "restart", "--", "true") == (
        125,
        "",
        error("--on-change: there is no --watch", "coffer-client run --help"),
    )
    assert client("run", "--watch", "1m", "--cache", "c", "--offline", "--", "true") == (
        125,
        "",
        error("--watch: with --offline nobody is asked", "coffer-client run --help"),
    )


def test_nothing_of_the_caches_reaches_the_command(run: Run, house: House, tmp_path: Path) -> None:
    done = client_of(run, house)("run", "--cache", str(tmp_path / "c"), "--", "ls", "/proc/self/fd")
    assert done.out.split() == ["0", "1", "2", "3"]
    assert os.listdir(tmp_path) == ["c"]
