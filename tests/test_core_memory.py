"""Secrets lie in locked memory that no core dump holds, and are gone when they have been used.

A child serves the known session and stops at each step; the test reads all of its memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from nacl import bindings

from known import KEYS, WIRE, key_text, open_text, unhex

CHILD = Path(__file__).parent / "remembering.py"
RESPONSE = os.urandom(3000)
NEEDLES = {name: KEYS[name] for name in "csef"} | unhex(WIRE["shared"]) | unhex(WIRE["session after"]["Link"])
# What X25519 gives before it is hashed to a shared value: libsodium leaves it on the stack.
NEEDLES |= {f"x25519({X},{y})": bindings.crypto_scalarmult(KEYS[y], KEYS[X]) for X, y in ("Sc", "Se", "Fe")}
# libsodium sees a message in blocks: a piece of any of them would show.
NEEDLES |= {f"shard at {at}": RESPONSE[at : at + 16] for at in (0, 16, 32, 64, 1000, 2048, 2984)}
# AddressSanitizer maps terabytes for its own book-keeping, and copies nothing there.
SHADOW_BYTES = 1 << 33
SHARD = {name for name in NEEDLES if name.startswith("shard")}
SESSION = {"dh(S,c)", "dh(S,e)", "dh(F,e)", "transcript", "up", "down"}


class Found(NamedTuple):
    where: str
    flags: frozenset[str]


class Child:
    """The process, its steps, and what its memory holds."""

    def __init__(self) -> None:
        keys = [open_text(key_text(KEYS[name])) for name in "csef"]
        reader, writer = os.pipe()
        os.write(writer, RESPONSE)
        os.close(writer)
        self._process = subprocess.Popen(
            [sys.executable, CHILD, *map(str, keys), KEYS["R"].hex(), str(reader)],
            pass_fds=[*keys, reader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for fd in (*keys, reader):
            os.close(fd)
        self.words = self._read()

    def _read(self) -> list[str]:
        assert self._process.stdout
        return self._process.stdout.readline().split()

    def step(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.words = self._read()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def search(self) -> dict[str, list[Found]]:
        """Return where in readable memory each needle lies, with the flags of the mapping."""
        found: dict[str, list[Found]] = {name: [] for name in NEEDLES}
        with open(f"/proc/{self._process.pid}/mem", "rb", buffering=0) as memory:
            for start, stop, name, flags in self._mappings():
                memory.seek(start)
                try:
                    data = memory.read(stop - start)
                except OSError:  # the kernel's own pages: [vvar]
                    continue
                for needle, value in NEEDLES.items():
                    found[needle] += [Found(name, flags)] * data.count(value)
        return found

    def _mappings(self) -> Iterator[tuple[int, int, str, frozenset[str]]]:
        smaps = Path(f"/proc/{self._process.pid}/smaps").read_text()
        pattern = r"^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+ *(.*)\n(?:[A-Z].*\n)*?VmFlags: (.*)$"
        for start, stop, name, flags in re.findall(pattern, smaps, re.MULTILINE):
            if int(stop, 16) - int(start, 16) < SHADOW_BYTES:
                yield int(start, 16), int(stop, 16), name or "anonymous", frozenset(flags.split())


@pytest.fixture(scope="module")
def steps() -> dict[str, dict[str, list[Found]]]:
    """What the child's memory holds at each step; at the first, under "locked", what it says of itself."""
    child = Child()
    try:
        found = {}
        while child.words:
            found[" ".join(child.words)] = child.search()
            child.step()
        return found
    finally:
        child.close()


def at(steps: dict[str, dict[str, list[Found]]], step: str) -> dict[str, list[Found]]:
    return next(found for name, found in steps.items() if name.startswith(step))


def names(found: dict[str, list[Found]]) -> set[str]:
    return {name for name, places in found.items() if places}


def test_the_search_finds_what_is_there(steps: dict[str, dict[str, list[Found]]]) -> None:
    """Or the tests below would prove nothing: while a session is under way, its keys lie in memory."""
    assert [name.split()[0] for name in steps] == ["linked", "fetched", "ended"]
    assert names(at(steps, "linked")) >= {"c", "s", "e", "f", "up", "down", "dh(S,c)"}


@pytest.mark.parametrize("step", ["linked", "fetched", "ended"])
def test_every_secret_lies_in_locked_memory_that_no_dump_holds(
    steps: dict[str, dict[str, list[Found]]], step: str
) -> None:
    # AddressSanitizer makes mlock do nothing.
    locked = "linked True" in steps and "COFFER_SANITIZED" not in os.environ
    wanted = {"dd", "lo"} if locked else {"dd"}
    for name, places in at(steps, step).items():
        for place in places:
            assert place.where == "anonymous" and wanted <= place.flags, f"{name} lies in {place}"


def test_a_secret_key_lies_in_one_place_that_cannot_be_written(steps: dict[str, dict[str, list[Found]]]) -> None:
    for name in ("c", "s"):
        (place,) = at(steps, "ended")[name]
        assert "wr" not in place.flags


def test_what_a_session_s_keys_came_of_is_gone_when_they_are_there(steps: dict[str, dict[str, list[Found]]]) -> None:
    """The server's: the client of the same process still holds its own until it has opened Link."""
    linked, fetched = at(steps, "linked"), at(steps, "fetched")
    assert not linked["dh(F,e)"] and not linked["transcript"]
    assert len(linked["dh(S,e)"]) == 1
    assert not fetched["dh(S,e)"] and not fetched["e"]
    assert len(fetched["dh(S,c)"]) == 1, "kept for this client's next session"


def test_no_byte_of_a_shard_is_left_where_it_was_sealed(steps: dict[str, dict[str, list[Found]]]) -> None:
    for found in steps.values():
        assert not names(found) & SHARD


def test_nothing_of_a_session_is_left_but_the_shared_value_that_is_kept(
    steps: dict[str, dict[str, list[Found]]],
) -> None:
    assert names(at(steps, "ended")) == {"c", "s", "dh(S,c)"}


def test_the_epoch_key_is_gone_when_it_is_renewed(steps: dict[str, dict[str, list[Found]]]) -> None:
    assert at(steps, "fetched")["f"] and not at(steps, "ended")["f"]
