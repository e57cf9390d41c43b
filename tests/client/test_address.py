"""Server addresses: every form that protocol.md allows, and each refusal to the letter."""

from __future__ import annotations

import pytest

from coffer.client.address import parse_address, parse_addresses
from coffer.errors import SettingsError
from peer.identity import format_id
from peer.identity import parse_address as peer_parse

KEY = bytes(range(1, 33))
ID = format_id(KEY)


@pytest.mark.parametrize(
    ("place", "host", "port", "text"),
    [
        ("db.example.org", "db.example.org", 26333, "db.example.org:26333"),
        ("10.0.0.5:1", "10.0.0.5", 1, "10.0.0.5:1"),
        ("[::1]", "::1", 26333, "[::1]:26333"),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535, "[fe80::1%eth0]:65535"),
        ("bücher.example:080", "bücher.example", 80, "bücher.example:80"),
    ],
)
def test_a_server_is_a_name_or_an_address_with_or_without_a_port(place: str, host: str, port: int, text: str) -> None:
    address = parse_address(f"coffer://{ID}@{place}")
    assert (address.server, address.host, address.port, str(address)) == (KEY, host, port, text)


def test_the_second_implementation_reads_the_same_addresses() -> None:
    for place in ("a", "a:7", "1.2.3.4:7", "[::1]:7", "[::1]"):
        ours, theirs = parse_address(f"coffer://{ID}@{place}"), peer_parse(f"coffer://{ID}@{place}")
        assert (ours.server, ours.host, ours.port) == tuple(theirs)


def test_an_id_in_an_address_is_read_as_everywhere() -> None:
    assert parse_address(f"coffer://{ID.lower().replace('-', '')}@a").server == KEY


def test_several_addresses_stand_with_commas_between() -> None:
    found = parse_addresses(f" coffer://{ID}@a , coffer://{ID}@b:7,, ")
    assert [str(each) for each in found] == ["a:26333", "b:7"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("localhost:26333", "not a server's address", "it reads coffer://SERVER-ID@HOST:PORT"),
        ("http://x@localhost", "not a server's address", "it reads coffer://SERVER-ID@HOST:PORT"),
        (f"coffer://{ID}", "not a server's address", "it reads coffer://SERVER-ID@HOST:PORT"),
        (
            f"coffer://{ID[:-1]}A@a",
            "its id: wrong checksum: a letter of the id is mistyped",
            "coffer-companion id FILE prints it",
        ),
        (f"coffer://{ID}@", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@::1", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@[::1", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@[::1]7", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@[a]", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@a/", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@a b", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@x@a", "no host after the @", "a name, an IPv4 address, or [IPv6]"),
        (f"coffer://{ID}@a:", "'' is not a port", "a number from 1 to 65535"),
        (f"coffer://{ID}@a:0", "'0' is not a port", "a number from 1 to 65535"),
        (f"coffer://{ID}@a:65536", "'65536' is not a port", "a number from 1 to 65535"),
        (f"coffer://{ID}@[::1]:", "'' is not a port", "a number from 1 to 65535"),
        (f"coffer://{ID}@a:\u0667", "'\u0667' is not a port", "a number from 1 to 65535"),
    ],
)
def test_what_is_no_address_is_refused_with_its_reason(text: str, message: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(text)
    assert str(caught.value) == f"server {text!r}: {message}"
    assert caught.value.hint == hint
