"""Fetching over real sockets: from honest servers, from every dishonest one, and from several."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import coffer
from coffer import Client
from coffer.client.fetch import PAUSE_LIMIT_SECONDS, PAUSE_SECONDS, attempts
from coffer.errors import (
    CofferError,
    CutError,
    FetchError,
    KeyFileError,
    NoAnswerError,
    PeerError,
    RefusedError,
    SettingsError,
    UnreachableError,
)
from peer import trick
from peer.fault import Fault, Refused, Unanswered
from peer.identity import format_id
from peer.server import Conversation, Manner, Server, honest
from peer.tricks import TRICKS
from peer.wire import Kind

from .conftest import CLIENT_ID, SERVER_SECRET, VALUES, address_of, serving

ClientOf = Callable[..., Client]
LINK_BYTES = 3 + 72
ANSWER_BYTES = LINK_BYTES + 3 + 272


def error_of(client: Client) -> CofferError:
    with pytest.raises(CofferError) as caught:
        client.fetch()
    return caught.value


# ---- honest servers


def test_a_shard_arrives_whole_and_in_order(key: str) -> None:
    with serving() as server:
        shard = coffer.fetch(address_of(server), Path(key))
    assert list(shard.items()) == list(VALUES.items())
    assert server.outcomes == {"done": 1}  # Bye included


def test_the_largest_shard_arrives(client_of: ClientOf) -> None:
    values = {"a": "x" * 65_261}
    with serving(values=values) as server:
        assert client_of(server).fetch() == values


def test_what_is_not_given_comes_from_the_environment(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        monkeypatch.setenv("COFFER_SERVER", address_of(server))
        monkeypatch.setenv("COFFER_KEY", key)
        assert coffer.fetch() == VALUES


def test_a_ping_touches_no_secret(client_of: ClientOf) -> None:
    taken: list[Kind] = []

    def manner(talk: Conversation) -> None:
        talk.take_hello()
        talk.link()
        taken.append(talk.take_get())

    with serving(manner) as server:
        where, seconds = client_of(server).ping()
    assert (taken, str(where)) == ([Kind.BYE], f"127.0.0.1:{server.port}")
    assert 0 < seconds < 5


def test_the_client_closes_first_so_that_time_wait_is_its_own(client_of: ClientOf) -> None:
    ends: list[str] = []

    def manner(talk: Conversation) -> None:
        trick.to_get(talk)
        talk.ok_get(trick.honest_response(talk))
        talk.take_bye()
        ends.append(talk.stream.end(3.0))

    with serving(manner) as server:
        client_of(server).fetch()
    assert ends == ["closed"]


def test_a_host_with_several_addresses_is_tried_to_the_last(client_of: ClientOf) -> None:
    # localhost is ::1 and 127.0.0.1 here, or only the second; the server listens on the second.
    with serving() as server:
        assert client_of(address_of(server, "localhost")).fetch() == VALUES


def test_a_server_is_reached_over_ipv6(key: str) -> None:
    from peer import response
    from peer.boxes import public

    from .conftest import CLIENT_SECRET

    known = {public(CLIENT_SECRET): response.encode(VALUES)}
    with Server([SERVER_SECRET], known, listen=("::1", 0)) as server:
        assert coffer.fetch(address_of(server, "[::1]"), key) == VALUES


# ---- dishonest servers

PASSING = {"draining", "unavailable_to_get", "a_reset_at_once", "an_end_at_once", "a_reset_after_hello", "silence"} | {
    "an_end_after_get",
    "a_reset_after_get",
    "a_stall_after_link",
    "a_stall_in_ok_get",
    "a_dribble_too_slow",
}
CLASSES: dict[object, type[CofferError]] = {Unanswered: NoAnswerError, Fault: PeerError, Refused: RefusedError}


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_ends_as_it_should_and_only_what_may_pass_is_tried_again(name: str, client_of: ClientOf) -> None:
    known = TRICKS[name]
    tries: list[None] = []

    def manner(talk: Conversation) -> None:
        tries.append(None)
        known.manner(talk)

    with serving(manner) as server:
        client = client_of(server, timeout=0.3 if known.is_slow else 5, retries=1)
        if known.conclusion is None:
            assert client.fetch() == VALUES
        else:
            error = error_of(client)
            expected = CLASSES[known.conclusion]
            assert isinstance(error, expected)
            assert error.exit_code == {NoAnswerError: 69, PeerError: 76, RefusedError: 77}[expected]
    assert len(tries) == (2 if name in PASSING else 1)


@pytest.mark.parametrize("by_reset", [False, True])
def test_a_cut_anywhere_is_an_error_and_never_half_a_shard(by_reset: bool, client_of: ClientOf) -> None:
    offsets: list[int] = []

    def manner(talk: Conversation) -> None:
        trick.cut(offsets[0], by_reset)(talk)

    with serving(manner) as server:
        client = client_of(server, retries=0)
        for offset in [*range(0, ANSWER_BYTES, 7), LINK_BYTES - 1, LINK_BYTES, ANSWER_BYTES - 1]:
            offsets[:] = [offset]
            error = error_of(client)
            # A reset may overtake what was sent before it, and then nothing proved itself.
            if not by_reset or offset < LINK_BYTES:
                assert type(error) is (NoAnswerError if offset < LINK_BYTES else CutError)
            assert isinstance(error, NoAnswerError | CutError)


@pytest.mark.parametrize("alter", [trick.altered_link, trick.altered_ok_get])
def test_an_altered_bit_is_an_error_and_never_a_shard(alter: Callable[[int], Manner], client_of: ClientOf) -> None:
    bits: list[int] = []
    sealed = {trick.altered_link: 72, trick.altered_ok_get: 272}[alter]

    def manner(talk: Conversation) -> None:
        alter(bits[0])(talk)

    with serving(manner) as server:
        client = client_of(server, timeout=0.5, retries=0)
        for bit in [*range(24), *range(24, 24 + sealed * 8, 61)]:  # the header, and every part of the body
            bits[:] = [bit]
            assert error_of(client).exit_code in (69, 76)


def test_the_text_of_an_error_cannot_steer_the_terminal(client_of: ClientOf) -> None:
    with serving(TRICKS["an_error_with_terminal_escapes"].manner) as server:
        error = error_of(client_of(server))
    assert isinstance(error, RefusedError)
    assert str(error).endswith(r"the server refuses: \x1b[2J\x1b]0;owned\x07\r\n\x9b1m")
    assert error.reason == "\x1b[2J\x1b]0;owned\x07\r\n\x9b1m"


# ---- what is said about it


def test_an_unknown_client_is_told_its_own_id_and_what_to_do(client_of: ClientOf) -> None:
    with serving(TRICKS["key_not_found"].manner) as server:
        error = error_of(client_of(server))
    assert str(error) == f"127.0.0.1:{server.port}: the server does not know this client"
    assert error.hint == f"its id is {CLIENT_ID}: add that to [clients] of the definition, and seal it again"


def test_silence_before_link_names_what_may_be_behind_it(client_of: ClientOf) -> None:
    with serving(TRICKS["a_reset_after_hello"].manner) as server:
        error = error_of(client_of(server, retries=0))
    assert str(error) == f"127.0.0.1:{server.port}: no answer: it closed the connection"
    assert error.hint == (
        "a coffer server is silent to strangers. Either the id in the address is not this server's, or the server "
        "takes no more connections, or it is another program or version; the log of a coffer server says which"
    )


def test_a_server_that_is_down_is_named_with_the_reason(client_of: ClientOf) -> None:
    with serving() as server:
        pass
    error = error_of(client_of(server, retries=0))
    assert type(error) is UnreachableError
    assert str(error) == f"127.0.0.1:{server.port}: Connection refused"
    assert error.hint == "is coffer-server running there, and does it listen on that address?"


def test_a_host_that_does_not_exist_is_named(client_of: ClientOf) -> None:
    with serving() as server:
        error = error_of(client_of(address_of(server, "no-such-host.invalid"), retries=0))
    assert type(error) is UnreachableError
    assert str(error).startswith(f"no-such-host.invalid:{server.port}: ")
    assert error.hint == "is the host's name right, and the DNS server up?"


def test_a_server_without_key_or_address_is_an_operators_error(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COFFER_SERVER", raising=False)
    monkeypatch.delenv("COFFER_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"^no server$"):
        Client(None, key)
    with pytest.raises(SettingsError, match=r"^no key file$"):
        Client(f"coffer://{format_id(b'x' * 32)}@a")
    with pytest.raises(KeyFileError, match="No such file"):
        Client(f"coffer://{format_id(b'x' * 32)}@a", tmp_path / "missing")


# ---- time


def test_a_timeout_is_for_the_whole_attempt_however_the_bytes_dribble(client_of: ClientOf) -> None:
    with serving(trick.dribble(0.05)) as server:
        start = time.monotonic()
        error = error_of(client_of(server, timeout=0.5, retries=0))
        assert 0.4 < time.monotonic() - start < 1.5
    assert isinstance(error, NoAnswerError)


def test_a_listener_that_never_accepts_costs_one_timeout(client_of: ClientOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        address = address_of(listener_port(listener))
        error = error_of(client_of(address, timeout=0.3, retries=0))
        assert 0.2 < time.monotonic() - start < 1.3
    assert str(error).endswith(": no answer: it fell silent")


def listener_port(listener: socket.socket) -> Server:
    class Port:
        port = listener.getsockname()[1]

    return Port()  # type: ignore[return-value]


def test_a_resolver_that_hangs_costs_one_timeout(client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    import _socket

    release = threading.Event()
    look_up = _socket.getaddrinfo

    def hang(host: bytes, *rest: int) -> object:
        if not rest[-1]:  # not the question whether it is a plain IP address
            release.wait(10)
        return look_up(host, *rest)

    monkeypatch.setattr(_socket, "getaddrinfo", hang)
    start = time.monotonic()
    try:
        error = error_of(client_of(f"coffer://{format_id(b'x' * 32)}@some.invalid", timeout=0.3, retries=0))
    finally:
        release.set()
    assert 0.2 < time.monotonic() - start < 1.3
    assert str(error) == "some.invalid:26333: no connection in time"


# ---- again, and elsewhere


def test_every_attempt_is_a_session_with_a_key_of_its_own(client_of: ClientOf) -> None:
    hellos: list[bytes] = []

    def manner(talk: Conversation) -> None:
        hellos.append(talk.stream.frame({0: (128,)}))
        raise Fault("a reset after Hello")

    with serving(manner) as server:
        error_of(client_of(server, retries=3))
    assert len({hello[3:35] for hello in hellos}) == len(hellos) == 4


def test_what_passed_is_forgotten(client_of: ClientOf) -> None:
    manners = iter([TRICKS["a_reset_after_get"].manner, TRICKS["draining"].manner, honest])

    def manner(talk: Conversation) -> None:
        next(manners)(talk)

    with serving(manner) as server:
        assert client_of(server).fetch() == VALUES


def test_the_next_server_is_asked_at_once_and_in_order(client_of: ClientOf) -> None:
    with serving() as down:
        pass
    with serving(TRICKS["draining"].manner) as busy, serving() as second, serving() as third:
        start = time.monotonic()
        assert client_of(down, busy, second, third).fetch() == VALUES
        assert time.monotonic() - start < 2
    assert (sum(busy.outcomes.values()), second.outcomes["done"], third.outcomes["done"]) == (1, 1, 0)


def test_a_server_that_does_not_know_the_client_is_the_last_one_asked(client_of: ClientOf) -> None:
    with serving(TRICKS["key_not_found"].manner) as first, serving() as second:
        assert isinstance(error_of(client_of(first, second)), RefusedError)
    assert not second.outcomes


def test_several_failures_are_one_error_of_the_kind_that_says_most(client_of: ClientOf) -> None:
    with serving() as down:
        pass
    with serving(TRICKS["draining"].manner) as busy:
        error = error_of(client_of(down, busy, retries=1))
    assert str(error) == (
        f"127.0.0.1:{down.port}: Connection refused; 127.0.0.1:{busy.port}: the server refuses: draining"
    )
    assert (type(error), error.hint) == (RefusedError, "it is shutting down; try again, or name a second --server")


def test_the_pauses_between_rounds_are_random_and_bounded() -> None:
    servers = ["a", "b"]
    for number in range(200):
        pauses = [pause for _, pause in attempts(servers, number % 12)]  # type: ignore[arg-type]
        assert pauses[0] == 0 and not any(pauses[1::2])
        for at, pause in enumerate(pauses[2::2], 1):
            assert 0 <= pause <= min(PAUSE_LIMIT_SECONDS, PAUSE_SECONDS * 2**at)
    assert len({tuple(attempts(["a"], 1))[1] for _ in range(20)}) > 10  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}])
def test_a_program_that_asks_for_no_time_or_negative_retries_is_wrong(options: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Client(f"coffer://{format_id(b'x' * 32)}@a", key, **options)  # type: ignore[arg-type]


# ---- what stays behind


def test_no_descriptor_stays_open_whatever_happened(client_of: ClientOf) -> None:
    for name in ("a_reset_after_get", "junk", "key_not_found", "a_dribble"):
        with serving(TRICKS[name].manner) as server:
            client = client_of(server, retries=0)
            before = os.listdir("/proc/self/fd")
            with contextlib.suppress(FetchError, PeerError):
                client.fetch()
        # The server's own ends close in threads of this process, and are gone with it.
        assert len(os.listdir("/proc/self/fd")) <= len(before)
