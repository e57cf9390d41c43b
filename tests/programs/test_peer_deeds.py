"""coffer-server against clients of the second implementation: what each of them did earns what the protocol says.

Not here: frames of other sessions that somebody recorded (``test_peer_recordings``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from peer_house import PeerHouse

from peer import deed, wire
from peer.client import Client, fetch
from peer.deed import Outcome, attempt
from peer.deeds import DEEDS
from peer.wire import Kind

SLOW = [name for name, known in DEEDS.items() if known.is_slow]
QUICK = [name for name, known in DEEDS.items() if not known.is_slow]
SHORTEST_DEADLINE_SECONDS = 2.0  # Bye after OkGet; every other deadline that ends in a reset is longer
NO_BYTE = Outcome((), "reset")


@pytest.fixture(autouse=True)
def still_serving(peer_house: PeerHouse) -> Iterator[None]:
    """Whatever was done to it, the server goes on serving others."""
    yield
    assert fetch(peer_house.where, peer_house.secrets["worker"]) == {"TOKEN": "bluebell"}


def outcome_of(house: PeerHouse, act: deed.Act) -> Outcome:
    return attempt(act, house.where, house.secrets["web"], seconds=20)


@pytest.mark.parametrize("name", QUICK)
def test_a_deed_earns_what_it_says_and_at_once(peer_house: PeerHouse, name: str) -> None:
    start = time.monotonic()
    outcome = outcome_of(peer_house, DEEDS[name].act)
    assert DEEDS[name].is_met_by(outcome), outcome
    assert time.monotonic() - start < SHORTEST_DEADLINE_SECONDS


def test_a_slow_deed_is_ended_by_its_deadline_and_not_before(peer_house: PeerHouse) -> None:
    def took(name: str) -> tuple[Outcome, float]:
        start = time.monotonic()
        return outcome_of(peer_house, DEEDS[name].act), time.monotonic() - start

    with ThreadPoolExecutor(len(SLOW)) as pool:
        for name, (outcome, seconds) in zip(SLOW, pool.map(took, SLOW), strict=True):
            assert DEEDS[name].is_met_by(outcome), (name, outcome)
            assert seconds > SHORTEST_DEADLINE_SECONDS, name


@pytest.mark.parametrize("length", [0, 128, 65_535])
def test_no_other_type_opens_a_conversation_whatever_its_length(peer_house: PeerHouse, length: int) -> None:
    for kind in range(256):
        if (kind, length) != (Kind.HELLO, 128):
            assert outcome_of(peer_house, deed.first(wire.pack(kind, os.urandom(length)))) == NO_BYTE, kind


STEPS = [("Hello", 0, 131, ()), ("Get", 1, 19, (Kind.LINK,)), ("Bye", 2, 51, (Kind.LINK, Kind.OK_GET))]


@pytest.mark.parametrize(("frame", "size", "answers"), [step[1:] for step in STEPS], ids=[step[0] for step in STEPS])
def test_an_end_or_an_altered_bit_anywhere_earns_nothing_more(
    peer_house: PeerHouse, frame: int, size: int, answers: tuple[Kind, ...]
) -> None:
    for at in range(size):
        for act in deed.cut(frame, at), deed.altered(frame, at * 8 + at % 8):
            assert outcome_of(peer_house, act) == Outcome(answers, "reset"), at


def test_nothing_but_get_or_bye_counts_after_link(peer_house: PeerHouse) -> None:
    for kind in set(range(256)) - {Kind.GET, Kind.BYE}:
        for body in (b"", bytes(32)):  # with which Get or Bye would have the right length
            act = sealed_after_link(kind, body)
            assert outcome_of(peer_house, act) == Outcome((Kind.LINK,), "reset"), kind


def sealed_after_link(kind: int, body: bytes) -> deed.Act:
    def act(client: Client) -> None:
        client.hello()
        client.stream.send(client.session.pack(kind, body))

    return act
