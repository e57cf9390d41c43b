"""What one source may do: connections at once, and failing Hellos a second."""

from __future__ import annotations

import pytest

from coffer.server.sources import Sources

HINT = "behind a proxy or NAT all clients are one source"
TOO_MANY = f"over 2 connections from one source (--max-connections-per-source; {HINT})"
TOO_BAD = f"too many failing Hellos from one source (--failing-hellos-per-source; {HINT})"


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::2%eth1", "fe80::/64"),
        ("::1", "::1", "::/64"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(one: str, other: str, name: str) -> None:
    sources = Sources(2, 0, 0)
    assert sources.enter(one) is sources.enter(other)
    assert sources.enter(one).name == name
    assert len(sources) == 1


@pytest.mark.parametrize(("one", "other"), [("192.0.2.1", "192.0.2.2"), ("2001:db8:0:1::1", "2001:db8:0:2::1")])
def test_others_are_other_sources(one: str, other: str) -> None:
    sources = Sources(2, 0, 0)
    assert sources.enter(one) is not sources.enter(other)


def test_connections_are_counted_until_they_leave() -> None:
    sources = Sources(2, 0, 0)
    source = sources.enter("192.0.2.1")
    assert sources.refusal(source, 0) is None
    sources.enter("192.0.2.1")
    assert sources.refusal(source, 0) is None
    sources.enter("192.0.2.1")
    assert sources.refusal(source, 0) == TOO_MANY
    sources.leave(source)
    assert sources.refusal(source, 0) is None
    sources.leave(source)
    sources.leave(source)
    assert len(sources) == 0


def test_zero_turns_each_limit_off() -> None:
    sources = Sources(0, 0, 0)
    for _ in range(1000):
        source = sources.enter("192.0.2.1")
        sources.charge(source, 0)
        assert sources.refusal(source, 0) is None


def test_a_bucket_empties_by_failing_hellos_and_fills_with_time() -> None:
    sources = Sources(0, 2, 4)
    source = sources.enter("192.0.2.1")
    for _ in range(4):
        assert sources.refusal(source, 10) is None
        sources.charge(source, 10)
    assert sources.refusal(source, 10) == TOO_BAD
    assert sources.refusal(source, 10.4) == TOO_BAD
    assert sources.refusal(source, 10.5) is None
    sources.charge(source, 10.5)
    assert sources.refusal(source, 10.6) == TOO_BAD
    sources.refusal(source, 1000)
    for _ in range(4):
        assert sources.refusal(source, 1000) is None, "it never holds more than its burst"
        sources.charge(source, 1000)
    assert sources.refusal(source, 1000) == TOO_BAD


def test_going_away_does_not_refill_a_bucket_and_only_a_full_one_is_forgotten() -> None:
    sources = Sources(0, 1, 2)
    source = sources.enter("192.0.2.1")
    sources.charge(source, 0)
    sources.charge(source, 0)
    sources.leave(source)
    sources.forget(1.5)
    again = sources.enter("192.0.2.1")
    assert again is source
    sources.leave(again)
    sources.forget(2.0)
    assert len(sources) == 0


def test_the_table_is_bounded_and_whoever_is_not_in_it_is_served() -> None:
    sources = Sources(1, 1, 1, limit=2)
    held = [sources.enter(f"192.0.2.{number}") for number in range(2)]
    for _ in range(3):
        source = sources.enter("192.0.2.9")
        assert sources.refusal(source, 0) is None
    assert len(sources) == 2
    sources.leave(source)
    for source in held:
        sources.leave(source)
    assert len(sources) == 0
