"""Keys locked with a passphrase: asked for on a terminal, or read from a file, and never anywhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from terminal import Terminal

from known import load

CANARY = "canary tulip 7f3a"
KNOWN = load("locked-key")["locked"][0]
ID = re.compile(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){13}\n")


@pytest.fixture
def terminal(environment, tmp_path: Path):
    """Start coffer-companion on a terminal of its own."""
    return lambda *arguments: Terminal(["coffer-companion", *arguments], environment, tmp_path)


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A locked companion's key that opens with little work, from the known answers."""
    path = tmp_path / "companion.key"
    path.touch(0o600)
    path.write_text(f"# coffer key\n{KNOWN['key line']}\n")
    return path


@pytest.fixture
def passphrase_file(tmp_path: Path) -> str:
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text(f"{KNOWN['passphrase']}\n")
    return "passphrase"


def test_keygen_asks_twice_unseen_and_the_key_opens_with_what_was_typed(terminal, companion, tmp_path: Path) -> None:
    asking = terminal("keygen", "-o", "my.key", "--passphrase")
    asking.wait_for("new passphrase for my.key: ")
    assert not asking.echoes
    asking.type(f"{CANARY}\n".encode())
    asking.wait_for("the same once more: ")
    asking.type(f"{CANARY}\n".encode())
    assert asking.end() == 0
    assert CANARY not in asking.screen
    key_id = asking.screen.splitlines()[-1]
    text = (tmp_path / "my.key").read_text()
    assert re.fullmatch(rf"# coffer key\n# id: {key_id}\ncoffer-locked-key-1:[A-Za-z0-9+/]{{96}}\n", text)
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_text(CANARY)
    assert companion("id", "my.key", "--passphrase-file", "passphrase") == (0, f"{key_id}\n", "")


@pytest.mark.plain  # a sanitizer takes more memory than there would be
def test_too_little_memory_for_a_passphrase_is_said_and_leaves_nothing(companion, run, passphrase_file) -> None:
    assert companion("keygen", "-o", "locked.key", "--passphrase-file", passphrase_file).code == 0
    poor = ("prlimit", f"--as={200 << 20}", "coffer-companion")
    assert run(*poor, "id", "locked.key", "--passphrase-file", passphrase_file) == (
        78,
        "",
        "coffer-companion: error: locked.key: line 3: trying the passphrase takes 256 MiB, which there are not\n",
    )
    for _ in range(2):  # the second finds no file of the first
        assert run(*poor, "keygen", "-o", "new.key", "--passphrase-file", passphrase_file) == (
            78,
            "",
            "coffer-companion: error: new.key: locking the key takes 256 MiB of memory, which there is not\n",
        )


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        ("tulip", "tulpi", "the two passphrases differ; no key was made"),
        ("", None, "an empty passphrase locks nothing"),
    ],
)
def test_keygen_makes_no_key_of_a_passphrase_that_cannot_be_right(terminal, tmp_path, first, second, error) -> None:
    asking = terminal("keygen", "-o", "my.key", "--passphrase")
    asking.wait_for("new passphrase for my.key: ")
    asking.type(f"{first}\n".encode())
    if second is not None:
        asking.wait_for("the same once more: ")
        asking.type(f"{second}\n".encode())
    assert asking.end() == 78
    assert asking.screen.endswith(f"\ncoffer-companion: error: {error}\n")
    assert not (tmp_path / "my.key").exists()


def test_without_a_terminal_the_error_says_what_to_do(companion, quick, tmp_path: Path) -> None:
    hint = "hint: name a file that holds the passphrase: --passphrase-file FILE\n"
    assert companion("id", "companion.key") == (
        78,
        "",
        f"coffer-companion: error: passphrase for companion.key: there is no terminal to ask on\n{hint}",
    )
    assert companion("keygen", "-o", "my.key", "--passphrase") == (
        78,
        "",
        f"coffer-companion: error: new passphrase for my.key: there is no terminal to ask on\n{hint}",
    )
    assert not (tmp_path / "my.key").exists()


def test_a_wrong_passphrase_is_told_by_file_and_line(terminal, quick) -> None:
    asking = terminal("id", "companion.key")
    asking.wait_for("passphrase for companion.key: ")
    asking.type(b"wrong\n")
    assert asking.end() == 78
    assert asking.screen == (
        "passphrase for companion.key: \n"
        "coffer-companion: error: companion.key: line 2: the passphrase does not open this key\n"
    )


def test_a_verb_that_opens_two_files_asks_once(terminal, companion, quick, passphrase_file, tmp_path: Path) -> None:
    server, web = (companion("keygen", "-o", f"{name}.key").out.strip() for name in ("server", "web"))
    (tmp_path / "d.toml").write_text(f'[clients]\nweb = "{web}"\n[web]\nA = 1\n')
    for name in ("a.coffer", "b.coffer"):
        locked = ("--passphrase-file", passphrase_file)
        assert companion("seal", "d.toml", "--server", server, "-o", name, *locked).code == 0
    asking = terminal("diff", "a.coffer", "b.coffer")
    asking.wait_for("passphrase for companion.key: ")
    asking.type(f"{KNOWN['passphrase']}\n".encode())
    assert asking.end() == 0
    assert asking.screen == "passphrase for companion.key: \n"


@pytest.mark.parametrize("text", ["tulip, bluebell", "tulip, bluebell\n", "tulip, bluebell\r\n"])
def test_a_passphrase_file_may_end_its_line(companion, quick, tmp_path: Path, text: str) -> None:
    (tmp_path / "passphrase").touch(0o600)
    (tmp_path / "passphrase").write_bytes(text.encode())
    assert ID.fullmatch(companion("id", "companion.key", "--passphrase-file", "passphrase").out)


def test_a_passphrase_may_come_through_a_pipe(run, quick) -> None:
    piped = run("bash", "-c", "coffer-companion id companion.key --passphrase-file <(echo tulip, bluebell)")
    assert piped.code == 0
    assert ID.fullmatch(piped.out)


@pytest.mark.parametrize(
    ("mode", "text", "error"),
    [
        (0o644, "x", "passphrase: a passphrase that others can read\nhint: chmod 0600 passphrase\n"),
        (0o600, "\n", "passphrase: a passphrase has 1 to 4,096 bytes\n"),
        (0o600, "x" * 4097, "passphrase: a passphrase has 1 to 4,096 bytes\n"),
        (None, "", "passphrase: No such file or directory\n"),
    ],
)
def test_a_passphrase_file_that_is_no_good_is_refused(companion, quick, tmp_path, mode, text, error) -> None:
    if mode is not None:
        (tmp_path / "passphrase").touch(mode)
        (tmp_path / "passphrase").write_text(text)
    assert companion("id", "companion.key", "--passphrase-file", "passphrase") == (
        78,
        "",
        f"coffer-companion: error: {error}",
    )
