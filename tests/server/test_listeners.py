"""Listening sockets: what is bound, how it is set, and what is said when it cannot be."""

from __future__ import annotations

import socket

import pytest

from coffer.errors import SettingsError
from coffer.server.listeners import bind, format_address


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0"])
def test_a_bound_socket_listens_and_never_blocks(text: str) -> None:
    (sock,) = bind(text)
    with sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking() and not sock.get_inheritable()


def test_a_port_that_is_taken_or_a_name_that_nobody_has_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuse(f"127.0.0.1:{port}", "Address already in use", "ss -ltnp")
    refuse("192.0.2.1:0", "Cannot assign requested address", "ip address")
    refuse("nobody.invalid:1", "(Name or service not known|Temporary .*)", "mend the name")
    with pytest.raises(SettingsError, match="no name of a host") as caught:
        bind("a" * 70 + ".example:1")
    assert caught.value.hint


def refuse(text: str, reason: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=f"^--listen: {text}: {reason}$") as caught:
        bind(text)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_an_address_is_shown_as_it_is_given(host: str, shown: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        assert format_address(listener) == f"{shown}:{listener.getsockname()[1]}"
