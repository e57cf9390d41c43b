"""What an operator sets: flags over the file over the defaults, and each refusal to the letter."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer._core import Keypair
from coffer.errors import SettingsError
from coffer.identity import format_id
from coffer.server.settings import FLAGS, Settings, add_flags, load_settings

PUBLIC = Keypair.generate().public
ID = format_id(PUBLIC)
NEEDED = ("--key", "server.key", "--companion", ID, "--definition", "definition.coffer")

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Read flags, and a settings file if one is given: ``load("--workers", "2", file='workers = 3')``."""
    monkeypatch.chdir(tmp_path)
    for variable in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)

    def load(*flags: str, file: str | bytes | None = None, needed: tuple[str, ...] = NEEDED) -> Settings:
        parser = ArgumentParser()
        add_flags(parser)
        if file is not None:
            Path("s.toml").write_bytes(file if isinstance(file, bytes) else file.encode())
            flags += ("--settings", "s.toml")
        return load_settings(parser.parse_args([*needed, *flags]))

    return load


def refusal(load: Load, *flags: str, **options: object) -> tuple[str, str | None]:
    with pytest.raises(SettingsError) as caught:
        load(*flags, **options)
    return str(caught.value), caught.value.hint


def test_the_defaults_are_those_of_the_help(load: Load) -> None:
    settings = load()
    assert settings == Settings(
        key=("server.key",), companion=frozenset({PUBLIC}), definition="definition.coffer", listen=("127.0.0.1:26333",),
        workers=len(os.sched_getaffinity(0)), verbose=False, reload_on_change=False, run_dir="", state_dir="",
        definition_limit=64 << 20, max_connections=10_000, max_connections_per_source=256,
        failing_hellos_per_source=(20.0, 40.0),
    )  # fmt: skip
    for name in ("listen", "max-connections", "max-connections-per-source", "failing-hellos-per-source"):
        default, _, text = FLAGS[name]
        assert f"(default: {default[0] if isinstance(default, list) else default})" in text


def test_every_setting_can_be_a_flag(load: Load, tmp_path: Path) -> None:
    settings = load(
        "--key", "old.key", "--companion", ID.lower(), "--listen", "[::1]:0", "--listen", "localhost:1",
        "--workers", "3", "--verbose", "--reload-on-change", "--run-dir", str(tmp_path), "--state-dir", str(tmp_path),
        "--definition-limit", "2 MiB", "--max-connections", "5", "--max-connections-per-source", "0",
        "--failing-hellos-per-source", "1.5:3",
    )  # fmt: skip
    assert settings == Settings(
        key=("server.key", "old.key"), companion=frozenset({PUBLIC}), definition="definition.coffer",
        listen=("[::1]:0", "localhost:1"), workers=3, verbose=True, reload_on_change=True, run_dir=str(tmp_path),
        state_dir=str(tmp_path), definition_limit=2 << 20, max_connections=5, max_connections_per_source=0,
        failing_hellos_per_source=(1.5, 3.0),
    )  # fmt: skip


def test_every_setting_can_stand_in_the_file(load: Load, tmp_path: Path) -> None:
    file = f"""
        key = "a.key"
        companion = ["{ID}"]
        definition = "d"
        listen = ["127.0.0.1:1", "127.0.0.1:2"]
        workers = 4
        verbose = true
        reload-on-change = true
        run-dir = "{tmp_path}"
        state-dir = "{tmp_path}"
        definition-limit = "1KiB"
        max-connections = "7"
        max-connections-per-source = 8
        failing-hellos-per-source = 9
    """
    settings = load(file=file, needed=())
    assert settings == Settings(
        key=("a.key",), companion=frozenset({PUBLIC}), definition="d", listen=("127.0.0.1:1", "127.0.0.1:2"),
        workers=4, verbose=True, reload_on_change=True, run_dir=str(tmp_path), state_dir=str(tmp_path),
        definition_limit=1024, max_connections=7, max_connections_per_source=8, failing_hellos_per_source=(9.0, 18.0),
    )  # fmt: skip


def test_a_flag_wins_over_the_file_and_replaces_a_list_whole(load: Load) -> None:
    settings = load("--workers", "1", "--listen", "127.0.0.1:3", file='workers = 5\nlisten = ["127.0.0.1:1"]\n')
    assert (settings.workers, settings.listen) == (1, ("127.0.0.1:3",))


def test_the_service_manager_names_directories_and_a_flag_wins_over_it(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/a:{tmp_path}/nowhere")
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/a")
    assert load().run_dir == load().state_dir == f"{tmp_path}/a"
    assert load("--run-dir", str(tmp_path)).run_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("missing", "message", "hint"),
    [
        ("--key", "--key is missing", "coffer-companion keygen -o server.key makes a key file"),
        (
            "--companion",
            "--companion is missing: whose definitions may be served?",
            "coffer-companion id companion.key prints the id",
        ),
        ("--definition", "--definition is missing", "coffer-companion seal makes a sealed definition"),
    ],
)
def test_what_is_needed_is_asked_for(load: Load, missing: str, message: str, hint: str) -> None:
    at = NEEDED.index(missing)
    assert refusal(load, needed=NEEDED[:at] + NEEDED[at + 2 :]) == (message, hint)


BRACKETS = "an IPv6 address stands in brackets: [::1]:26333"


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        (("--key", "b", "--key", "c"), "--key: a server has one key, or two while it is rotated", None),
        (
            ("--companion", "AAAA"),
            "--companion: 'AAAA': an id has 56 letters, this has 4",
            "coffer-companion id FILE prints it",
        ),
        (("--workers", "two"), "--workers: 'two' is not a whole number", None),
        (("--workers", "-1"), "--workers: at least 0", None),
        (("--workers", "1025"), "--workers: at most 1024", None),
        (("--definition-limit", "1025GiB"), "--definition-limit: at most 1024GiB", None),
        (
            ("--definition-limit", "9" * 19),
            f"--definition-limit: '{'9' * 19}' is not a size such as 1000000 or 64MiB",
            None,
        ),
        (("--max-connections", "0"), "--max-connections: at least 1", None),
        (("--max-connections-per-source", "1.5"), "--max-connections-per-source: '1.5' is not a whole number", None),
        (
            ("--definition-limit", "1\n2"),
            "--definition-limit: '1\\n2' is not a size such as 1000000 or 64MiB",
            None,
        ),
        (("--definition-limit", "5 MB"), "--definition-limit: '5 MB' is not a size such as 1000000 or 64MiB", None),
        (("--definition-limit", "-5"), "--definition-limit: '-5' is not a size such as 1000000 or 64MiB", None),
        (
            ("--failing-hellos-per-source", "20:"),
            "--failing-hellos-per-source: '20:' is not RATE:BURST, such as 20:40",
            None,
        ),
        (
            ("--failing-hellos-per-source", "nan"),
            "--failing-hellos-per-source: a rate of 0 or more and a burst of at least 1",
            None,
        ),
        (
            ("--failing-hellos-per-source", "1:0.5"),
            "--failing-hellos-per-source: a rate of 0 or more and a burst of at least 1",
            None,
        ),
        (("--listen", "26333"), "--listen: '26333' is not HOST:PORT", BRACKETS),
        (("--listen", "::1"), "--listen: '::1' is not HOST:PORT", BRACKETS),
        (("--listen", "::1:26333"), "--listen: '::1:26333' is not HOST:PORT", BRACKETS),
        (("--listen", "[::1:26333"), "--listen: '[::1:26333' is not HOST:PORT", BRACKETS),
        (("--listen", "localhost:65536"), "--listen: 'localhost:65536' is not HOST:PORT", BRACKETS),
        (("--listen", "localhost:\u0663"), "--listen: 'localhost:\u0663' is not HOST:PORT", BRACKETS),
        (
            ("--listen", ":26400"),
            "--listen: ':26400' names no host",
            "say so if every address is meant: 0.0.0.0:26400 for IPv4, [::]:26400 for IPv6",
        ),
        (("--run-dir", "gone"), "--run-dir: gone: not a directory", "mkdir -m 0700 gone"),
        (("--state-dir", "gone"), "--state-dir: gone: not a directory", "mkdir -m 0700 gone"),
    ],
)
def test_a_flag_that_cannot_be_is_refused_by_name(
    load: Load, flags: tuple[str, ...], message: str, hint: str | None
) -> None:
    assert refusal(load, *flags) == (message, hint)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("worker = 1", "s.toml: worker: no such setting"),
        ("workers = true", "s.toml: workers: a value of the wrong type"),
        ("workers = 1.5", "s.toml: workers: a value of the wrong type"),
        ("verbose = 1", "s.toml: verbose: a value of the wrong type"),
        ("listen = [1]", "s.toml: listen: a value of the wrong type"),
        ("workers = 'x'", "s.toml: workers: 'x' is not a whole number"),
        ("listen = []", "s.toml: listen: no address"),
        ('run-dir = "a\\u0000b"', "s.toml: run-dir: a NUL character, which no name has"),
        ('workers = "\\u0000"', "s.toml: workers: a NUL character, which no name has"),
        ('listen = ["127.0.0.1:1", "a\\u0000:1"]', "s.toml: listen: a NUL character, which no name has"),
        ("listen = 'here'", "s.toml: listen: 'here' is not HOST:PORT"),
        ("state-dir = 'gone'", "s.toml: state-dir: gone: not a directory"),
        ("workers =", "s.toml: not TOML: Invalid value (at end of document)"),
        (b"\xff", "s.toml: not TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_a_settings_file_that_cannot_be_is_refused_by_file_and_name(
    load: Load, file: str | bytes, message: str
) -> None:
    assert refusal(load, file=file)[0] == message


def test_no_such_setting_lists_those_there_are(load: Load) -> None:
    assert refusal(load, file="worker = 1")[1] == f"the settings are {', '.join(FLAGS)}"


def test_a_directory_that_the_service_manager_names_and_nobody_made_is_refused(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/nowhere/coffer")
    assert refusal(load)[0] == "$STATE_DIRECTORY: /nowhere/coffer: not a directory"
