"""Which values a command receives, under which names, as variables or as files in memory."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.client.delivery import prepare
from coffer.client.environment import narrow
from coffer.client.flags import Given, read_run
from coffer.client.folder import clear, fill
from coffer.errors import MissingNameError, OperatorError
from coffer.shard import Shard

SHARD = Shard({"DB_URL": "u", "DB_PASSWORD": "p\0\n", "PORT": 1, "a.b": "x"})


def given(*flags: str) -> Given:
    found = read_run(["run", *flags, "--", "true"])
    assert found
    return found


def delivered(*flags: str) -> tuple[dict[str, str], dict[str, str]]:
    made = prepare(SHARD, given(*flags))
    return made.variables, made.files


def refusal(*flags: str) -> tuple[str, str | None]:
    with pytest.raises(OperatorError) as caught:
        prepare(SHARD, given(*flags))
    return str(caught.value), caught.value.hint


def test_only_some_values_are_handed_over() -> None:
    assert delivered("--only", "PORT,DB_URL") == ({"DB_URL": "u", "PORT": "1"}, {})
    assert delivered("--only", "PORT", "--only=DB_URL") == ({"DB_URL": "u", "PORT": "1"}, {})


def test_a_name_that_only_or_require_asks_for_must_be_there() -> None:
    for flag in ("--only", "--require"):
        with pytest.raises(MissingNameError) as caught:
            prepare(SHARD, given(flag, "PORT,DB_URI"))
        assert str(caught.value) == "no value named 'DB_URI'"
        assert caught.value.hint == "did you mean DB_URL?"


def test_what_is_required_does_not_narrow_what_is_handed_over() -> None:
    assert delivered("--require", "PORT", "--only", "DB_URL") == ({"DB_URL": "u"}, {})


def test_a_prefix_stands_before_every_name() -> None:
    assert delivered("--prefix", "APP_", "--only", "PORT") == ({"APP_PORT": "1"}, {})


def test_as_files_a_value_may_hold_anything_and_the_variable_names_the_file() -> None:
    variables, files = delivered("--files", "/run/x", "--only", "DB_PASSWORD,PORT", "--prefix", "P_")
    assert variables == {"P_DB_PASSWORD_FILE": "/run/x/DB_PASSWORD", "P_PORT_FILE": "/run/x/PORT"}
    assert files == {"DB_PASSWORD": "p\0\n", "PORT": "1"}


def test_the_path_of_a_file_is_absolute() -> None:
    assert delivered("--files", "sub", "--only", "PORT")[0] == {"PORT_FILE": f"{os.getcwd()}/sub/PORT"}


@pytest.mark.parametrize("key", ["../x", "a/b", ".", "a.b", "A B", ""])
def test_no_key_leads_out_of_the_folder(key: str) -> None:
    if not key:
        return
    with pytest.raises(OperatorError) as caught:
        prepare(Shard({key: "x"}), given("--files", "/run/x"))
    assert str(caught.value) == f"'{key}_FILE': no name for an environment variable"


def test_two_deliveries_are_equal_if_no_command_could_tell() -> None:
    wanted = given("--only", "PORT")
    assert prepare(SHARD, wanted) == prepare(Shard({"PORT": "1", "DB_URL": "changed"}), wanted)
    assert prepare(SHARD, wanted) != prepare(Shard({"PORT": 2}), wanted)


def test_of_the_callers_environment_the_patterns_keep_some() -> None:
    environment = {b"PATH": b"p", b"LC_ALL": b"l", b"LANG": b"g", b"\xff": b"x"}
    assert narrow(environment, []) == {}
    assert narrow(environment, ["L*", "?ATH"]) == {b"PATH": b"p", b"LC_ALL": b"l", b"LANG": b"g"}
    assert narrow(environment, ["lang", "\udcff"]) == {b"\xff": b"x"}


# ---- the folder


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_each_value_is_a_file_that_only_the_owner_can_read(memory: Path) -> None:
    fill(str(memory / "new"), {"A": "é\n", "B": ""})
    assert stat.S_IMODE((memory / "new").stat().st_mode) == 0o700
    assert {each.name: each.read_bytes() for each in (memory / "new").iterdir()} == {"A": "é\n".encode(), "B": b""}
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o400 for each in (memory / "new").iterdir())


def test_a_folder_is_filled_again_and_what_is_gone_goes(memory: Path) -> None:
    folder = str(memory / "new")
    fill(folder, {"A": "1", "B": "2"})
    fill(folder, {"B": "3", "C": "4"})
    assert {each.name: each.read_text() for each in (memory / "new").iterdir()} == {"B": "3", "C": "4"}
    clear(folder)
    assert list((memory / "new").iterdir()) == []


def test_what_somebody_else_took_away_is_not_missed(memory: Path) -> None:
    folder = str(memory / "new")
    fill(folder, {"A": "1", "B": "2"})
    (memory / "new" / "A").unlink()
    fill(folder, {"B": "3"})
    clear(folder)
    os.rmdir(folder)
    clear(folder)


def test_what_a_killed_run_left_half_written_is_taken_away(memory: Path) -> None:
    folder = memory / "new"
    fill(str(folder), {"A": "1"})
    left = folder / f"A.{'0f' * 6}.new"
    left.write_text("half")
    left.chmod(0o400)
    fill(str(folder), {"A": "2"})
    assert {each.name: each.read_text() for each in folder.iterdir()} == {"A": "2"}


def test_a_reader_sees_the_old_value_or_the_new_one(memory: Path) -> None:
    folder = str(memory / "new")
    fill(folder, {"A": "old"})
    with (memory / "new" / "A").open() as before:
        fill(folder, {"A": "new value"})
        assert before.read() == "old"


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (
            lambda path: path.mkdir(mode=0o755),
            "not a folder that only you can enter",
            "chmod 0700 {path}, or name another",
        ),
        (
            lambda path: path.write_text(""),
            "not a folder that only you can enter",
            "chmod 0700 {path}, or name another",
        ),
        (
            lambda path: (path.mkdir(mode=0o700), (path / "notes").write_text("mine")),
            "holds 'notes', which coffer did not put there",
            "name a folder of its own",
        ),
        (
            lambda path: (path.mkdir(mode=0o700), (path / "A").symlink_to("/etc/passwd")),
            "holds 'A', which coffer did not put there",
            "name a folder of its own",
        ),
    ],
)
def test_a_folder_that_is_not_for_this_alone_is_refused(memory: Path, make, message: str, hint: str) -> None:
    path = memory / "taken"
    make(path)
    before = path.is_dir() and sorted(path.iterdir())
    with pytest.raises(OperatorError) as caught:
        fill(str(path), {"A": "secret"})
    assert (str(caught.value), caught.value.hint) == (f"{path}: {message}", hint.format(path=path))
    assert (path.is_dir() and sorted(path.iterdir())) == before


def test_a_folder_on_disk_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        fill(str(tmp_path / "new"), {"A": "secret"})
    assert str(caught.value) == f"{tmp_path}/new: on disk"
    assert caught.value.hint == "name one in memory: under $XDG_RUNTIME_DIR, /run or /dev/shm"
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_said_so(memory: Path) -> None:
    with pytest.raises(OperatorError, match=r"No such file or directory$"):
        fill(str(memory / "a" / "b"), {})
