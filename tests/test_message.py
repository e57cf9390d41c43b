"""The table of messages agrees with itself, with the sizes of what is sealed, and with both state machines."""

from __future__ import annotations

import pytest

from coffer import message
from coffer.message import FROM_CLIENT, FROM_SERVER, NAMES, SUCCESSORS, Kind
from coffer.protocol import CLIENT_STEPS, SERVER_STEPS, State

KEY, SALT, MAC, BLOCK = 32, 24, 16, 256
KINDS = {value for name, value in vars(Kind).items() if not name.startswith("_")}
# What each state follows: the message whose successors may come in it.
FOLLOWS = {State.LINK: Kind.HELLO, State.GET: Kind.LINK, State.OK_GET: Kind.GET, State.BYE: Kind.OK_GET}


def test_every_kind_has_a_name_a_direction_and_successors() -> None:
    assert len(KINDS) == 7
    assert set(NAMES) == set(SUCCESSORS) == KINDS
    assert FROM_CLIENT | FROM_SERVER == KINDS and not FROM_CLIENT & FROM_SERVER


def test_who_speaks_next_is_always_the_other_end() -> None:
    for kind, successors in SUCCESSORS.items():
        assert successors <= (FROM_SERVER if kind in FROM_CLIENT else FROM_CLIENT)


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        (message.HELLO_LENGTHS, [KEY + MAC + KEY + MAC + KEY]),
        (message.LINK_LENGTHS, [KEY + SALT + MAC]),
        (message.GET_LENGTHS, [MAC]),
        (message.OK_GET_LENGTHS, [MAC + BLOCK * j for j in range(1, 256)]),
        (message.BYE_LENGTHS, [MAC + KEY]),
        (message.KEY_NOT_FOUND_LENGTHS, [KEY + SALT + MAC + KEY]),
        (message.ERROR_TO_HELLO_LENGTHS, [KEY + SALT + MAC + BLOCK]),
        (message.ERROR_TO_GET_LENGTHS, [MAC + BLOCK]),
    ],
    ids=["Hello", "Link", "Get", "OkGet", "Bye", "KeyNotFound", "Error to Hello", "Error to Get"],
)
def test_a_length_is_the_size_of_what_is_inside(lengths: range, sizes: list[int]) -> None:
    assert list(lengths) == sizes
    assert sizes[-1] <= 0xFFFF


def test_the_largest_shard_fits_and_one_byte_more_does_not() -> None:
    padded = (message.SHARD_LIMIT_BYTES // BLOCK + 1) * BLOCK
    assert MAC + padded == message.OK_GET_LENGTHS[-1]
    assert MAC + padded + BLOCK > 0xFFFF
    assert (message.SHARD_LIMIT_BYTES + 1) % BLOCK == 0


def test_an_error_text_fits_its_one_block() -> None:
    assert message.ERROR_LIMIT_BYTES == BLOCK - 1
    for text in (message.DRAINING, message.BUSY, message.UNAVAILABLE):
        assert 1 <= len(text.decode()) <= message.ERROR_LIMIT_BYTES


@pytest.mark.parametrize(("steps", "sender"), [(SERVER_STEPS, FROM_CLIENT), (CLIENT_STEPS, FROM_SERVER)])
def test_a_state_takes_exactly_the_successors_of_what_it_follows(
    steps: dict[str, dict[int, range]], sender: frozenset[int]
) -> None:
    for state, may_come in steps.items():
        if state in FOLLOWS:
            assert set(may_come) == SUCCESSORS[FOLLOWS[state]] & sender
    assert steps[State.CLOSED] == {}


def test_both_ends_have_every_state_once() -> None:
    states = {value for name, value in vars(State).items() if not name.startswith("_")}
    assert set(SERVER_STEPS) | set(CLIENT_STEPS) == states
    assert set(SERVER_STEPS) & set(CLIENT_STEPS) == {State.CLOSED}
    assert set(SERVER_STEPS[State.HELLO]) == {Kind.HELLO}
