"""coffer-companion from the first key to a sealed definition: keygen, id, init, seal, open, check, to the letter."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from conftest import Run

from coffer import envelope
from coffer.identity import format_id, load_keypair, parse_id

ID = re.compile(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){13}")
CANARY = "canary-7f3a-never-seen"


def serial_of(path: Path) -> int:
    return envelope.parse_armour(path.read_bytes(), "").serial


# ---- keygen, id


def test_keygen_prints_the_id_alone_on_stdout(companion, tmp_path: Path) -> None:
    code, out, err = companion("keygen", "-o", "web.key")
    assert code == 0
    assert ID.fullmatch(out.strip()) and out.endswith("\n")
    assert err == "made web.key (mode 0600): keep it where it is used; others get only its id:\n"
    assert companion("id", "web.key") == (0, out, "")
    assert (tmp_path / "web.key").stat().st_mode & 0o7777 == 0o600


def test_keygen_never_overwrites_a_file(companion, tmp_path: Path) -> None:
    (tmp_path / "web.key").write_text("precious")
    assert companion("keygen", "-o", "web.key") == (
        78,
        "",
        "coffer-companion: error: web.key: there is a file already, and a key is never overwritten\n"
        "hint: choose another name\n",
    )
    assert (tmp_path / "web.key").read_text() == "precious"


def test_a_key_file_that_others_can_read_is_refused(companion, tmp_path: Path) -> None:
    companion("keygen", "-o", "web.key")
    (tmp_path / "web.key").chmod(0o644)
    assert companion("id", "web.key") == (
        78,
        "",
        "coffer-companion: error: web.key: readable by others (mode 0644)\nhint: chmod 0600 web.key\n",
    )


# ---- init


def test_init_leaves_a_folder_whose_next_commands_work_as_pasted(companion, run: Run, tmp_path: Path) -> None:
    code, out, err = companion("init", "try it")
    assert code == 0
    assert err == (
        "made try it/.gitignore\n"
        "made try it/definition.toml\n"
        "made try it/companion.key\n"
        "made try it/server.key\n"
        "made try it/web.key\n"
        "\n"
        "Keys made here are for trying out: server.key, web.key. In production the machine that keeps a key\n"
        "makes it (coffer-companion keygen -o FILE), and only ids travel: --server ID, --client NAME=ID.\n"
        "\n"
    )
    sealing, serving, fetching = out.split("\n\n")
    pasted = run("sh", "-e", "-c", sealing)
    assert pasted[:2] == (0, "")
    assert re.fullmatch(r"sealed definition\.coffer: 1 client, 1 value, serial 1, [0-9]+ bytes\n", pasted.err)
    server, companion_id = (companion("id", f"try it/{name}.key").out.strip() for name in ("server", "companion"))
    assert serving == (
        f"# Serve it:\ncoffer-server --key server.key --companion {companion_id} --definition definition.coffer"
    )
    assert fetching == (
        "# In another terminal, in the same folder:\n"
        f"export COFFER_SERVER=coffer://{server}@127.0.0.1:26333 COFFER_KEY=web.key\n"
        "coffer-client run -- sh -c 'echo \"$GREETING\"'\n"
    )


def test_init_with_ids_makes_only_the_companions_key(companion, tmp_path: Path) -> None:
    server, api = (companion("keygen", "-o", f"{name}.key").out.strip() for name in ("s", "a"))
    code, out, err = companion("init", "new", "--server", server, "--client", f"api={api}")
    assert code == 0
    assert "trying out" not in err
    assert sorted(os.listdir(tmp_path / "new")) == [".gitignore", "companion.key", "definition.toml"]
    assert f'\n[clients]\napi = "{api}"\n\n[api]\n' in (tmp_path / "new/definition.toml").read_text()
    assert "# On the server, with its own key file and a copy of definition.coffer:\n" in out
    assert f"# Where api runs, with its own key file:\nexport COFFER_SERVER=coffer://{server}@SERVER-HOST:26333" in out


def test_init_keeps_keys_and_plaintext_from_git_and_from_others(companion, tmp_path: Path, run: Run) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    assert companion("init", ".", "--client", "web", "--client", "api").code == 0
    assert (tmp_path / "definition.toml").stat().st_mode & 0o7777 == 0o600
    run("git", "init", "-q")
    assert run("git", "ls-files", "--others", "--exclude-standard").out == ".gitignore\n"
    assert (tmp_path / ".gitignore").read_text().startswith("*.pyc\n")


def test_init_spoils_no_line_of_a_gitignore_that_ends_without_one(companion, tmp_path: Path, run: Run) -> None:
    (tmp_path / ".gitignore").write_bytes(b"caf\xe9\n*.pyc")
    assert companion("init", ".").code == 0
    ignored = (tmp_path / ".gitignore").read_bytes()
    assert ignored.startswith(b"caf\xe9\n*.pyc\n# ") and ignored.count(b"*.key\n") == 1


def test_init_leaves_a_folder_with_keys_untouched(companion, tmp_path: Path) -> None:
    companion("keygen", "-o", "old.key")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert companion("init", ".") == (
        78,
        "",
        "coffer-companion: error: ./old.key: there already; nothing was touched\nhint: choose another folder\n",
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "err"),
    [
        (
            ("--client", "web", "--client", "web"),
            "coffer-companion: error: --client web: a name that is taken\nhint: give each client a name of its own\n",
        ),
        (
            ("--client", "server"),
            "coffer-companion: error: --client server: a name that is taken\n"
            "hint: give each client a name of its own\n",
        ),
        (
            ("--client", "clients"),
            "coffer-companion: error: --client clients: a name that is taken\n"
            "hint: give each client a name of its own\n",
        ),
        (
            ("--client", "web=ABCD"),
            "coffer-companion: error: --client web: an id has 56 letters, this has 4\n"
            "hint: coffer-companion id FILE prints the id of a key file\n",
        ),
        (
            ("--client", "a b"),
            "coffer-companion: error: --client a b: a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -\n"
            "hint: give it another name\n",
        ),
    ],
)
def test_init_checks_everything_before_it_makes_anything(companion, tmp_path, arguments, err) -> None:
    assert companion("init", "new", *arguments) == (78, "", err)
    assert not (tmp_path / "new").exists()


# ---- seal, open


def test_what_is_sealed_opens_byte_for_byte(companion, started, tmp_path: Path) -> None:
    text = (tmp_path / "definition.toml").read_text() + f'# kept\r\nTOKEN = "{CANARY}"\n\n'
    (tmp_path / "definition.toml").write_bytes(text.encode())
    sealed = companion("seal", "definition.toml", "--key", "companion.key", "--server", started["server"], "-o", "s")
    size = (tmp_path / "s").stat().st_size
    assert sealed == (0, "", f"sealed s: 1 client, 2 values, serial 1, {size} bytes\n")
    assert companion("open", "s", "--key", "companion.key").out == text
    assert CANARY not in (tmp_path / "s").read_text()


def test_a_definition_comes_from_stdin_too(companion, started, tmp_path: Path) -> None:
    text = (tmp_path / "definition.toml").read_text()
    sealed = companion("seal", "-", "--server", started["server"], "-o", "s", stdin=text)
    assert sealed.code == 0
    assert companion("open", "-", "--key", "companion.key", stdin=(tmp_path / "s").read_text()).out == text


def test_the_servers_key_is_the_way_back_when_the_companions_is_lost(companion, started, tmp_path: Path) -> None:
    companion("seal", "definition.toml", "--server", started["server"], "-o", "s")
    (tmp_path / "companion.key").unlink()
    back = companion("open", "s", "--key", "server.key", "--companion", started["companion"])
    assert back == (0, (tmp_path / "definition.toml").read_text(), "")
    assert companion("open", "s", "--key", "server.key") == (
        78,
        "",
        "coffer-companion: error: s: that is the server's key, which opens it only by saying who sealed it\n"
        "hint: --companion ID: the id of the companion that you trust\n",
    )
    assert companion("open", "s", "--companion", started["companion"]) == (
        78,
        "",
        "coffer-companion: error: --companion goes with the server's key\nhint: --key server.key\n",
    )


def test_each_sealing_raises_the_serial_by_one(companion, started, tmp_path: Path) -> None:
    for serial in (1, 2, 3):
        assert companion("seal", "definition.toml", "--server", started["server"], "-o", "s").code == 0
        assert serial_of(tmp_path / "s") == serial


def test_the_server_need_not_be_named_again(companion, started, tmp_path: Path) -> None:
    assert companion("seal", "definition.toml", "-o", "s") == (
        78,
        "",
        "coffer-companion: error: for which server?\n"
        "hint: --server ID: its id, which coffer-companion id FILE prints\n",
    )
    companion("seal", "definition.toml", "--server", started["server"], "-o", "s")
    assert companion("seal", "definition.toml", "-o", "s").code == 0
    assert format_id(envelope.parse_armour((tmp_path / "s").read_bytes(), "").server) == started["server"]


def test_a_file_that_the_key_does_not_open_is_replaced_only_with_new(companion, started, tmp_path: Path) -> None:
    companion("keygen", "-o", "other.key")
    arguments = ("seal", "definition.toml", "--server", started["server"], "-o", "s")
    assert companion(*arguments, "--key", "other.key").code == 0
    before = (tmp_path / "s").read_bytes()
    other = companion("id", "other.key").out.strip()
    assert companion(*arguments) == (
        3,
        "",
        f"coffer-companion: error: s: sealed by companion {other}, which is not this key\n"
        "hint: name another file, or replace this one with --new\n",
    )
    assert (tmp_path / "s").read_bytes() == before
    now = time.time()
    assert companion(*arguments, "--new").code == 0
    assert now - 1 <= serial_of(tmp_path / "s") <= time.time()


def test_new_goes_on_from_a_serial_above_the_time(companion, started, tmp_path: Path) -> None:
    other = companion("keygen", "-o", "other.key").out
    assert other
    ahead = int(time.time()) + 1_000_000
    keypair = load_keypair(str(tmp_path / "other.key"))
    sealed = envelope.seal(b"", keypair, parse_id(started["server"]), ahead)
    (tmp_path / "s").write_bytes(envelope.format_armour(sealed))
    assert companion("seal", "definition.toml", "--server", started["server"], "-o", "s", "--new").code == 0
    assert serial_of(tmp_path / "s") == ahead + 1


def test_new_never_replaces_the_definition(companion, started) -> None:
    arguments = ("seal", "definition.toml", "--server", started["server"], "--new")
    assert companion(*arguments, "-o", "./definition.toml") == (
        78,
        "",
        "coffer-companion: error: ./definition.toml: the definition itself\nhint: name another file with -o\n",
    )


def test_a_refused_definition_leaves_the_sealed_file_whole(companion, started, tmp_path: Path) -> None:
    arguments = ("seal", "definition.toml", "--server", started["server"], "-o", "s")
    companion(*arguments)
    before = (tmp_path / "s").read_bytes()
    with (tmp_path / "definition.toml").open("a") as file:
        file.write(f'LIST = ["{CANARY}"]\n[wbe]\nX = 1\n')
    code, out, err = companion(*arguments)
    assert (code, out) == (3, "")
    assert err.endswith("coffer-companion: error: definition.toml: refused for 2 findings; nothing was changed\n")
    assert CANARY not in err
    assert (tmp_path / "s").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == [
        ".gitignore", "companion.key", "definition.toml", "s", "server.key", "web.key",
    ]  # fmt: skip


def test_a_sealed_file_keeps_its_mode(companion, started, tmp_path: Path) -> None:
    arguments = ("seal", "definition.toml", "--server", started["server"], "-o", "s")
    companion(*arguments)
    assert (tmp_path / "s").stat().st_mode & 0o7777 == 0o644
    (tmp_path / "s").chmod(0o640)
    companion(*arguments)
    assert (tmp_path / "s").stat().st_mode & 0o7777 == 0o640


@pytest.mark.parametrize(
    ("server", "err"),
    [
        (
            "server.key",
            "coffer-companion: error: --server: '.' is not a letter of base32 (A to Z and 2 to 7)\n"
            "hint: that is a file; its id is what this prints: coffer-companion id server.key\n",
        ),
        (
            "coffer://ABCD@host",
            "coffer-companion: error: --server: ':' is not a letter of base32 (A to Z and 2 to 7)\n"
            "hint: give the id alone: what stands between coffer:// and @\n",
        ),
    ],
)
def test_what_is_no_server_id_is_answered_with_what_to_give(companion, started, server, err) -> None:
    assert companion("seal", "definition.toml", "--server", server, "-o", "s") == (78, "", err)


def test_a_server_id_that_is_empty_is_not_taken_for_none(companion, started, tmp_path: Path) -> None:
    """What a shell makes of "$SERVER" where nobody has set it."""
    assert companion("seal", "definition.toml", "--server", started["server"], "-o", "s").code == 0
    before = (tmp_path / "s").read_bytes()
    for command in (("seal", "definition.toml", "-o", "s"), ("check", "s")):
        code, out, err = companion(*command, "--server", "")
        assert (code, out) == (78, "")
        assert err.startswith("coffer-companion: error: --server: an id has 56 letters, this has 0\n")
    assert (tmp_path / "s").read_bytes() == before


def test_a_key_is_looked_for_in_the_environment_and_beside_the_sealed_file(companion, started, tmp_path) -> None:
    assert companion("seal", "definition.toml", "--server", started["server"], "-o", "s").code == 0
    (tmp_path / "companion.key").rename(tmp_path / "elsewhere")
    assert companion("open", "s") == (
        78,
        "",
        "coffer-companion: error: no companion key\nhint: name its file: --key FILE (or COFFER_COMPANION_KEY)\n",
    )
    assert companion("open", "s", env={"COFFER_COMPANION_KEY": "elsewhere"}).code == 0


# ---- check


def test_check_tells_all_findings_at_once_with_line_and_column(companion, started, tmp_path: Path) -> None:
    (tmp_path / "d.toml").touch(0o600)
    (tmp_path / "d.toml").write_text(
        f'stray = "{CANARY}"\n[clients]\nweb = "{started["web"]}"\napi = "{started["web"]}"\n'
        f'db = "{started["server"]}"\n[web]\nLIST = ["{CANARY}"]\nbig = 9223372036854775808\n[wbe]\n'
    )
    code, out, err = companion("check", "d.toml", "--server", started["server"])
    assert (code, err) == (3, "d.toml: refused for 6 findings; no warnings\n")
    places = [line.split(" ")[0] for line in out.splitlines() if not line.startswith("  hint: ")]
    assert places == ["d.toml:1:1:", "d.toml:4:1:", "d.toml:5:1:", "d.toml:7:1:", "d.toml:8:1:", "d.toml:9:1:"]
    assert "d.toml:7:1: error: [web] LIST: an array is not a value\n  hint: " in out
    assert CANARY not in out


def test_check_of_a_good_definition_says_so(companion, started) -> None:
    assert companion("check", "definition.toml", "--server", started["server"]) == (
        0,
        "",
        "definition.toml: 1 client, 1 value; no warnings\n",
    )


def test_check_opens_a_sealed_file_without_showing_it(companion, started) -> None:
    companion("seal", "definition.toml", "--server", started["server"], "-o", "s")
    assert companion("check", "s") == (0, "", "s: 1 client, 1 value; no warnings\n")


# ---- the command line


@pytest.mark.parametrize(
    ("arguments", "err"),
    [
        (
            (),
            "coffer-companion: error: the following arguments are required: VERB\nhint: coffer-companion --help\n",
        ),
        (
            ("init",),
            "coffer-companion: error: the following arguments are required: FOLDER\n"
            "hint: coffer-companion init --help\n",
        ),
        (
            ("open", "s", "--ke", "x"),
            "coffer-companion: error: unrecognized arguments: --ke x\nhint: coffer-companion --help\n",
        ),
        (
            ("check", "s", "--definition-limit", "many"),
            "coffer-companion: error: argument --definition-limit: 'many' is not a size such as 1000000 or 64MiB\n"
            "hint: coffer-companion check --help\n",
        ),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_says_where_help_is(companion, arguments, err) -> None:
    assert companion(*arguments) == (2, "", err)


def test_a_definition_over_the_limit_is_refused(companion, started) -> None:
    code, out, _ = companion("check", "definition.toml", "--definition-limit", "100")
    assert code == 3
    assert re.match(
        r"definition\.toml: error: [0-9]+ bytes, [0-9]+ over the limit of 100\n"
        r"  hint: raise the limit with --definition-limit\n",
        out,
    )


def test_no_verb_prints_a_secret_key(companion, started, tmp_path: Path) -> None:
    secrets = [path.read_text().rsplit(":", 1)[1].strip() for path in tmp_path.glob("*.key")]
    assert len(secrets) == 3
    companion("seal", "definition.toml", "--server", started["server"], "-o", "s")
    outcomes = [
        companion("id", "companion.key"),
        companion("open", "companion.key"),
        companion("check", "companion.key"),
        companion("seal", "companion.key", "--server", started["server"], "-o", "t"),
        companion("open", "s", "--key", "s"),
    ]
    for outcome in outcomes:
        assert not any(secret in outcome.out + outcome.err for secret in secrets)
