"""``coffer-companion client``, ``rotate`` and ``blast-radius``: who there is, another key, and what a leak means."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from house import House
from terminal import settle

FILE = "definition.coffer"
CANARY = "canary-7f3a"


@pytest.fixture
def api(companion) -> str:
    return companion("keygen", "-o", "api.key").out.strip()


@pytest.fixture
def two(sealed, api: str) -> None:
    sealed(
        f'[web]\nDATABASE_URL = "{CANARY}"\nPORT = 5432\nTOKEN = "own"\n\n[api]\nDB = "{CANARY}"\nPORT = 5432\n',
        clients=f'api = "{api}"',
    )


def sealed_line(tmp_path: Path, holds: str, serial: int) -> str:
    return f"sealed {FILE}: {holds}, serial {serial}, {(tmp_path / FILE).stat().st_size} bytes\n"


# ---- client


def test_a_client_is_added_with_its_id_or_with_a_key_made_here(companion, sealed, api, tmp_path: Path) -> None:
    sealed("[web]\nA = 1\n")
    assert companion("client", "add", FILE, "api", "--id", api) == (
        0,
        "",
        sealed_line(tmp_path, "2 clients, 1 value", 2) + f"next: coffer-companion set {FILE} api.KEY\n",
    )
    assert companion("client", "add", FILE, "db") == (
        0,
        "",
        sealed_line(tmp_path, "3 clients, 1 value", 3)
        + "made db.key, for trying out; in production keygen runs where the key is kept, and --id brings its id here\n"
        + f"next: coffer-companion set {FILE} db.KEY\n",
    )
    ids = json.loads(companion("client", "list", FILE, "--format", "json").out)["clients"]
    assert [(each["name"], each["ids"]) for each in ids[1:]] == [
        ("api", [api]),
        ("db", [companion("id", "db.key").out.strip()]),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "err"),
    [
        (
            ("web",),
            78,
            "coffer-companion: error: web: a client already\nhint: for another key: coffer-companion rotate client\n",
        ),
        (
            ("api", "--id", "ABCD"),
            78,
            "coffer-companion: error: --id: an id has 56 letters, this has 4\n"
            "hint: coffer-companion id FILE prints the id of a key file\n",
        ),
        (
            ("a b",),
            3,
            f"{FILE}:3:1: error: [clients] 'a b': a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -\n"
            f"coffer-companion: error: {FILE}: refused for 1 finding; nothing was changed\n",
        ),
    ],
)
def test_a_client_that_cannot_be_added_leaves_everything_as_it_was(companion, sealed, tmp_path, arguments, code, err):
    sealed("[web]\nA = 1\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert companion("client", "add", FILE, *arguments) == (code, "", err)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_client_that_loses_a_race_leaves_no_key_and_can_be_added_again(companion, two, environment, tmp_path: Path):
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    command = ("coffer-companion", "client", "add", FILE, "db")
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        settle(lambda: (tmp_path / "db.key").exists())
        with (tmp_path / FILE).open("a") as file:
            file.write("\n")
        os.close(folder)
        _, err = process.communicate()
    assert (process.returncode, err) == (
        78,
        f"coffer-companion: error: {FILE}: somebody changed it meanwhile; it is left as they made it\n"
        "hint: do it again\n",
    )
    assert not (tmp_path / "db.key").exists()
    assert companion("client", "add", FILE, "db").code == 0


def test_clients_are_listed_with_values_size_and_ids(companion, two, started, api) -> None:
    assert companion("client", "list", FILE) == (
        0,
        f"web: 3 values, 77 of 65,279 bytes (0 %)\n  {started['web']}\n"
        f"api: 2 values, 46 of 65,279 bytes (0 %)\n  {api}\n",
        "",
    )


def test_a_removed_client_is_gone_and_what_it_still_knows_is_said(companion, two, tmp_path: Path) -> None:
    assert companion("client", "remove", FILE, "api") == (
        0,
        "",
        sealed_line(tmp_path, "1 client, 3 values", 2)
        + "removed api; it still knows what it has read\nothers go on with the same values: web.DATABASE_URL\n",
    )
    assert "api" not in companion("open", FILE).out
    assert companion("client", "remove", FILE, "api") == (
        1,
        "",
        "coffer-companion: error: no client named api\nhint: clients: web\n",
    )


# ---- blast-radius


def test_blast_radius_is_the_to_do_after_a_leak(companion, two) -> None:
    assert companion("blast-radius", FILE, "web") == (
        0,
        f"""\
A stolen key of web opens 3 values:
  web.DATABASE_URL  shared with api.DB
  web.PORT
  web.TOKEN

1. Shut the key out: make another where web runs (coffer-companion keygen -o FILE), and with its id:
     coffer-companion rotate client {FILE} web --id ID --finish
   Then bring {FILE} to the server; there: coffer-server reload
2. Change these where they are used, and here:
     coffer-companion set {FILE} web.DATABASE_URL api.DB
     coffer-companion set {FILE} web.PORT --toml
     coffer-companion set {FILE} web.TOKEN
   Then bring {FILE} to the server again, and reload.
3. Restart, so that they fetch anew: web, api
""",
        "",
    )
    assert companion("blast-radius", FILE, "wbe") == (
        1,
        "",
        "coffer-companion: error: no client named wbe\nhint: did you mean web?\n",
    )


@pytest.mark.parametrize("name", ["a key", "$(date)", "it's"])
def test_what_blast_radius_prints_works_as_pasted_whatever_the_names_are(companion, sealed, run, name, tmp_path):
    sealed(f'[web]\n"{name}" = 1234\n')
    (tmp_path / FILE).rename(tmp_path / "a file")
    out = companion("blast-radius", "a file", "web").out
    (command,) = (line for line in out.splitlines() if "coffer-companion set" in line)
    assert run("sh", "-c", f"echo 99 | {command} --stdin").code == 0
    assert companion("get", "a file", f"web.{name}").out == "99"
    assert companion("open", "a file").out.endswith(" = 99\n")


def test_blast_radius_of_a_client_with_several_ids_asks_which_is_stolen(companion, two, started, new, run) -> None:
    companion("rotate", "client", FILE, "web", "--id", new)
    _, out, _ = companion("blast-radius", FILE, "web")
    assert (
        f"     coffer-companion rotate client {FILE} web --id ID --finish --old STOLEN-ID\n"
        f"   STOLEN-ID is the id of the stolen key, one of:\n     {started['web']}\n     {new}\n"
        f"   Then bring {FILE} to the server; there: coffer-server reload\n" in out
    )


def test_blast_radius_of_a_definition_in_clear_says_what_works_with_one(companion, started) -> None:
    assert companion("blast-radius", "definition.toml", "web") == (
        0,
        """\
A stolen key of web opens 1 value:
  web.GREETING

1. Shut the key out: make another where web runs (coffer-companion keygen -o FILE), and in definition.toml write
   its id in place of the stolen one, under [clients]. Then seal it, and bring what is sealed to the server:
     coffer-companion seal definition.toml -o SEALED-FILE
   There: coffer-server reload
2. Change these where they are used, and in definition.toml:
     web.GREETING
   Then seal it and bring it to the server again, and reload.
3. Restart, so that they fetch anew: web
""",
        "",
    )


def test_blast_radius_of_a_pipe_names_no_file_called_stdin(companion, two, tmp_path: Path) -> None:
    out = companion("blast-radius", "-", "web", stdin=(tmp_path / FILE).read_text()).out
    assert "coffer-companion rotate client FILE web" in out
    assert "stdin" not in out


@pytest.mark.parametrize("name", [b"\xff.coffer", b"a\x1b[2J\n.coffer"])
def test_what_comes_next_steers_no_terminal_and_fails_for_no_file_name(companion, two, new, tmp_path: Path, name):
    os.rename(tmp_path / FILE, os.path.join(os.fsencode(tmp_path), name))
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    for verb in (("blast-radius", name, "web"), ("rotate", "client", name, "web", "--id", new)):
        code, out, _ = companion(*verb, env=strict)
        assert code == 0
        assert all(line.isprintable() for line in out.splitlines())


# ---- rotate client


@pytest.fixture
def new(companion) -> str:
    return companion("keygen", "-o", "new.key").out.strip()


def test_a_client_has_both_ids_until_the_rotation_is_finished(companion, two, started, new, tmp_path: Path) -> None:
    begun = companion("rotate", "client", FILE, "web", "--id", new)
    assert begun == (
        0,
        f"""\
Next:
1. Bring {FILE} to the server; there: coffer-server reload
2. Where web runs, put the new key file in place of the old one, and restart it. To look first:
     coffer-client ping
3. When nothing uses the old key any more:
     coffer-companion rotate client {FILE} web --finish
""",
        sealed_line(tmp_path, "2 clients, 5 values", 2) + f"web has 2 ids now: {started['web']}, {new}\n",
    )
    finished = companion("rotate", "client", FILE, "web", "--finish")
    assert finished == (
        0,
        f"Next:\n1. Bring {FILE} to the server; there: coffer-server reload\n"
        "2. The old key opens nothing any more; delete it.\n",
        sealed_line(tmp_path, "2 clients, 5 values", 3) + f"web has 1 id now: {new}\n",
    )


def test_a_dry_run_shows_what_would_come_and_changes_nothing(companion, two, started, new, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    dry = companion("rotate", "client", FILE, "web", "--id", new, "--dry-run")
    assert (tmp_path / FILE).read_bytes() == before
    assert dry.err == (
        f"dry run: {FILE} is as it was; otherwise it would be like this:\nweb has 2 ids now: {started['web']}, {new}\n"
    )
    assert dry.out == companion("rotate", "client", FILE, "web", "--id", new).out


def test_a_stolen_key_is_shut_out_at_once(companion, two, new) -> None:
    assert companion("rotate", "client", FILE, "web", "--id", new, "--finish").code == 0
    assert companion("client", "list", FILE).out.splitlines()[1] == f"  {new}"


def test_among_several_ids_the_one_that_goes_is_named(companion, two, started, new) -> None:
    third = companion("keygen", "-o", "third.key").out.strip()
    for each in (new, third):
        companion("rotate", "client", FILE, "web", "--id", each)
    assert companion("rotate", "client", FILE, "web", "--finish") == (
        78,
        "",
        "coffer-companion: error: web has 3 ids: which one goes?\nhint: --old ID\n",
    )
    assert companion("rotate", "client", FILE, "web", "--finish", "--old", new.lower()).code == 0
    assert companion("client", "list", FILE).out.splitlines()[1:3] == [f"  {started['web']}", f"  {third}"]


@pytest.mark.parametrize(
    ("arguments", "err"),
    [
        ((), "neither begun nor finished\nhint: --id ID begins a rotation, and --finish ends it\n"),
        (("--finish",), "web has one id only\nhint: --id ID begins a rotation\n"),
        (("--id", "OWN"), "web has this id already\nhint: --id takes the id of the new key\n"),
        (
            ("--finish", "--old", "SERVER"),
            f"web has no such id\nhint: coffer-companion client list {FILE} shows its ids\n",
        ),
    ],
)
def test_a_rotation_that_makes_no_sense_is_refused(companion, two, started, arguments, err) -> None:
    ids = {"OWN": started["web"], "SERVER": started["server"]}
    given = [ids.get(each, each) for each in arguments]
    assert companion("rotate", "client", FILE, "web", *given) == (78, "", f"coffer-companion: error: {err}")


def test_an_id_of_another_client_is_refused_with_its_place(companion, two, api) -> None:
    code, _, err = companion("rotate", "client", FILE, "web", "--id", api)
    assert code == 3
    assert "[clients] api: the id of client 'web' too" in err


def test_the_last_step_of_a_rotation_works_as_pasted_whatever_the_file_is_called(companion, two, new, run, tmp_path):
    (tmp_path / FILE).rename(tmp_path / "a file")
    out = companion("rotate", "client", "a file", "web", "--id", new).out
    assert run("sh", "-c", out.splitlines()[-1]).code == 0


# ---- rotate server


def test_a_definition_is_sealed_for_the_servers_new_key_with_the_steps_in_order(companion, two, started, new) -> None:
    code, out, _ = companion("rotate", "server", FILE, "--id", new)
    assert code == 0
    assert (
        out
        == f"""\
Next, in this order:
1. Let the server take both keys, the new one first, and restart it:
     coffer-server --key NEW.key --key OLD.key ...
2. Bring {FILE} to it; there: coffer-server reload
3. Give every client both ids, the new one first:
     COFFER_SERVER=coffer://{new}@HOST,coffer://{started["server"]}@HOST
4. When all have them, take the old id from the clients, and the old key from the server.
"""
    )
    assert companion("open", FILE, "--key", "new.key", "--companion", started["companion"]).code == 0
    assert companion("rotate", "server", FILE, "--id", new) == (
        78,
        "",
        f"coffer-companion: error: {FILE}: sealed for this server already\n",
    )


# ---- with a server, for real


def bring(house: House) -> None:
    """Have the server take what was sealed last."""
    house.serial += 1
    os.kill(house.pid, signal.SIGHUP)
    house._wait_for(re.compile(f"serving serial {house.serial}:"))


def test_no_step_of_a_clients_rotation_is_an_outage(companion, run, own_house: House, new) -> None:
    """The old key and the new one both fetch while the rotation goes on; then only the new one does."""

    def fetch() -> list[int]:
        settings = {"COFFER_SERVER": own_house.address}
        return [run("coffer-client", "get", "PORT", "--key", key, env=settings).code for key in ("web.key", "new.key")]

    assert fetch() == [0, 77]
    assert companion("rotate", "client", FILE, "web", "--id", new).code == 0
    bring(own_house)
    assert fetch() == [0, 0]
    assert companion("rotate", "client", FILE, "web", "--finish").code == 0
    bring(own_house)
    assert fetch() == [77, 0]


def test_no_step_of_a_servers_rotation_is_an_outage(companion, run, own_house: House, new) -> None:
    """The steps that ``rotate server`` prints, in their order: old and new addresses work until the last one."""
    old_address = own_house.address
    new_address = old_address.replace(own_house.id("server"), new)

    def fetch(*addresses: str) -> list[int]:
        return [
            run("coffer-client", "get", "PORT", "--key", "web.key", env={"COFFER_SERVER": each}).code
            for each in addresses
        ]

    own_house.stop()
    own_house.start("--key", "new.key")
    settle(lambda: fetch(old_address) == [0], 20)
    assert fetch(old_address, f"{new_address},{old_address}") == [0, 0]
    assert companion("rotate", "server", FILE, "--id", new).code == 0
    bring(own_house)
    assert fetch(old_address, f"{new_address},{old_address}", new_address) == [0, 0, 0]
