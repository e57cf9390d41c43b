"""Every definition that must not be taken, put in place under load: the old one serves on, and one line says why."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .fleet import Fleet
from .memory import Needles
from .pressing import Load
from .serving import Server
from .sizes import sized

LIMIT = 1 << 20
CUT_STEP = sized(97, 1)
REFUSED_CODES = (3, 78)
Spoil = Callable[[Fleet], None]


@contextmanager
def pressing(server: Server, programs: Path) -> Iterator[None]:
    """Load from start to end of the block; every session must succeed, with the old definition's values."""
    clients = server.fleet.write_clients("dawn")
    with Load(programs, server, "--clients", clients, "--width", 4) as load:
        yield
        done = load.stop()
    assert (done.exit_code, done.figures["failures"]) == (0, 0), done
    assert done.figures["sessions"] > 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them: none may leave a trace for the next."""
    fleet = Fleet(tmp_path_factory.mktemp("refusals"))
    fleet.publish(fleet.seal(fleet.text("dawn"), serial=10))
    with Server(fleet, "--definition-limit", LIMIT) as running:
        yield running
        running.check_sound()


def remove(fleet: Fleet) -> None:
    if fleet.definition.is_dir():
        fleet.definition.rmdir()
    fleet.definition.unlink(missing_ok=True)


def put(fleet: Fleet, data: bytes) -> None:
    remove(fleet)
    fleet.publish(data)


def other(fleet: Fleet, text: str, serial: int = 11) -> None:
    put(fleet, fleet.seal(text, serial))


def damaged(fleet: Fleet) -> None:
    data = bytearray(fleet.seal(fleet.text("dusk"), 11))
    letter = data.index(b"A", len(data) // 2)
    data[letter : letter + 1] = b"B"
    put(fleet, bytes(data))


def make_fifo(fleet: Fleet) -> None:
    remove(fleet)
    os.mkfifo(fleet.definition)


def make_directory(fleet: Fleet) -> None:
    remove(fleet)
    fleet.definition.mkdir()


def make_unreadable(fleet: Fleet) -> None:
    other(fleet, fleet.text("dusk"))
    fleet.definition.chmod(0)


def make_endless(fleet: Fleet) -> None:
    remove(fleet)
    fleet.definition.symlink_to("/dev/zero")


def make_circle(fleet: Fleet) -> None:
    remove(fleet)
    fleet.definition.symlink_to(fleet.definition)


def table(fleet: Fleet, lines: str) -> str:
    """The definition, with lines added to its last table, whose values they stand beside."""
    return fleet.text("dusk") + lines


def added(lines: str) -> Spoil:
    return lambda fleet: other(fleet, table(fleet, lines))


def oversize(fleet: Fleet) -> str:
    """A shard one byte over what a frame can carry."""
    return table(fleet, f'big = "{fleet.canary.hex() * 1800}"\nbigger = "{"x" * 5000}"\n')


SPOILS: dict[str, tuple[Spoil, str]] = {
    "absent": (remove, "No such file"),
    "empty": (lambda fleet: put(fleet, b""), "empty"),
    "a directory": (make_directory, "not a regular file"),
    "a FIFO": (make_fifo, "not a regular file"),
    "a device": (make_endless, "not a regular file"),
    "a link to itself": (make_circle, "symbolic links"),
    "not sealed": (lambda fleet: put(fleet, fleet.text("dusk").encode()), "not a sealed definition"),
    "damaged": (damaged, "does not open"),
    "of another companion": (
        lambda fleet: put(fleet, fleet.seal(fleet.text("dusk"), 11, companion=os.urandom(32))), "whom nobody told us",
    ),
    "for another server": (
        lambda fleet: put(fleet, fleet.seal(fleet.text("dusk"), 11, server=os.urandom(32))), "not for this one",
    ),
    "older": (lambda fleet: other(fleet, fleet.text("dusk"), 9), "serial 9 is older than 10"),
    "of the same serial": (lambda fleet: other(fleet, fleet.text("dusk"), 10), "serial 10 was served before"),
    "of an impossible serial": (lambda fleet: other(fleet, fleet.text("dusk"), 0), "serial is 0"),
    "no TOML": (lambda fleet: other(fleet, table(fleet, f"password = {fleet.canary.hex()}\n")), "line"),
    "no UTF-8": (lambda fleet: other(fleet, table(fleet, 'x = "\udcff"\n')), "UTF-8"),
    "a value twice": (lambda fleet: other(fleet, table(fleet, f'port = "{fleet.canary.hex()}"\n')), "twice"),
    "an oversize shard": (lambda fleet: other(fleet, oversize(fleet)), "over the limit of 65,279"),
    "over the limit": (lambda fleet: other(fleet, fleet.text("dusk") + "#" * LIMIT), "over the limit of 1,048,576"),
    "a bomb of brackets": (added("x = " + "[" * 400_000), "nested hundreds deep"),
    "a bomb of tables": (added("x." * 200_000 + "y = 1\n"), "nested hundreds deep"),
    "a bomb of inline tables": (added("x = " + "{a=" * 100_000), "nested hundreds deep"),
    "a bomb of one long number": (added("x = " + "9" * 900_000 + "\n"), "outside 64 bits"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPOILS)
def test_a_definition_that_is_not_to_be_taken_changes_nothing(server: Server, programs: Path, kind: str) -> None:
    spoil, words = SPOILS[kind]
    spoil(server.fleet)
    with pressing(server, programs):
        check_refused(server, words)
    remove(server.fleet)


def check_refused(server: Server, words: str) -> None:
    """`reload` fails with the reason, on one line and without a value, and the log says the same."""
    before = len(server.log)
    done = server.reload()
    said = server.log[before:]
    assert done.returncode in REFUSED_CODES, done
    error, *hint = done.stderr.splitlines()
    assert error.startswith("coffer-server: error: ") and len(hint) <= 1, done.stderr
    assert re.search(words, error), error
    assert "reload refused, serial " in error and error.removeprefix("coffer-server: error: ") in said
    assert len(said.splitlines()) == 1 + len(hint), said
    canary = Needles({"value": server.fleet.canary.hex().encode()[:16]})
    assert [*canary.find(done.stderr.encode(), "stderr"), *canary.find(said.encode(), "log")] == []
    assert server.fetch()["flavour"] == "dawn"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_definition_changes_nothing(server: Server, programs: Path) -> None:
    make_unreadable(server.fleet)
    with pressing(server, programs):
        check_refused(server, "Permission denied")
    remove(server.fleet)


def test_a_definition_cut_at_any_byte_changes_nothing(server: Server, programs: Path) -> None:
    whole = server.fleet.seal("[clients]\n", 11)
    with pressing(server, programs):
        for size in range(0, len(whole) - 1, CUT_STEP):
            put(server.fleet, whole[:size])
            check_refused(server, "empty|cut off|not a sealed definition")
    remove(server.fleet)


def test_a_refusal_says_how_to_go_back_on_purpose(server: Server) -> None:
    other(server.fleet, server.fleet.text("dusk"), 9)
    assert re.search(r"hint: .*coffer-companion open OLD .*\| *coffer-companion seal -", server.reload().stderr)
