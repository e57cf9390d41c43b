"""What a thief of each key can do, and cannot: every promise of docs/security.md that no other test keeps.

A thief is a set of secrets. He knows every public key and the recorded frames, computes every shared value that he can,
and tries each in each place. Where he must fail, one key more must let him succeed, or he was not trying.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product

import pytest

from coffer import envelope
from coffer._core import Box, blake
from coffer.message import Kind
from coffer.protocol import ClientSession, ServerSession
from known import FRAMES, KEYS, RESPONSE, key_text, keypair, read_keypair
from peer import wire
from peer.boxes import box, dh, public, unbox
from peer.fault import Fault
from serving import Serving

K = os.urandom(32)
FORGED = os.urandom(32)
SECRETS = {name: KEYS[name] for name in "csef"} | {"k": K, "own": FORGED}
PUBLICS = [*(KEYS[name] for name in "CSEF"), public(K), public(FORGED)]
LINK = FRAMES["Link"]


def shared_values(secrets: str) -> list[bytes]:
    """Return every dh() that the holder of these secrets can compute."""
    return sorted({dh(theirs, SECRETS[name]) for theirs in PUBLICS for name in secrets.split()})


def session_keys(secrets: str, fresh: bytes) -> Iterator[wire.Keys]:
    """Return all session keys that the thief can guess for the known Hello and a Link that begins like this."""
    for three in product(shared_values(secrets), repeat=3):
        yield wire.session_keys(KEYS["S"], FRAMES["Hello"], Kind.LINK, fresh, wire.Shared(*three))


def reads_the_recording(secrets: str) -> bool:
    for keys in session_keys(secrets, LINK[3:59]):
        try:
            if wire.open_sealed(keys.down, Kind.OK_GET, FRAMES["OkGet"][3:]) == RESPONSE:
                return True
        except Fault:
            continue
    return False


@pytest.mark.parametrize("secrets", ["c s k", "c f k", "e f k", "own"])
def test_a_recording_stays_closed_to_whoever_lacks_one_of_its_three_shared_values(secrets: str) -> None:
    """Above all "c s k": every key that outlives a session and its epoch."""
    assert not reads_the_recording(secrets)


@pytest.mark.parametrize("secrets", ["c e", "s e", "s f"])
def test_a_recording_opens_to_whoever_can_compute_all_three(secrets: str) -> None:
    assert reads_the_recording(secrets)


def plays_the_server(secrets: str) -> bool:
    """Whether the client takes a Link that the thief makes with an epoch key of his own."""
    fresh = public(FORGED) + bytes(24)
    for keys in session_keys(f"{secrets} own", fresh):
        session = ClientSession(keypair("c"), KEYS["S"], ephemeral=keypair("e"))
        session.receive(wire.pack(Kind.LINK, fresh + wire.seal(keys.down, Kind.LINK, b"")))
        if session.linked:
            return True
    return False


@pytest.mark.parametrize("secrets", ["c", "k", "f"])
def test_only_the_servers_key_can_play_the_server(secrets: str) -> None:
    """Not even the client's own key can: what dh(S,e) is for."""
    assert not plays_the_server(secrets)
    assert plays_the_server(f"{secrets} s")


def serving() -> Serving:
    return Serving(keypair("s"), shards={"web": ([KEYS["C"]], RESPONSE)})


def plays_the_client(secrets: str) -> bool:
    """Whether a server that knows C gives away its shard to a Hello that the thief makes."""
    E = public(FORGED)
    for shared in shared_values(f"{secrets} own"):
        inner = box(shared, wire.inner_nonce(E, KEYS["S"], KEYS["C"]), KEYS["C"])
        hello = wire.outer_hello(KEYS["S"], FORGED, KEYS["C"], inner)
        session = serving().server()
        if link := session.receive(hello):
            return gets_the_shard(session, shared, hello, link)
    return False


def gets_the_shard(session: ServerSession, static: bytes, hello: bytes, link: bytes) -> bool:
    shared = wire.Shared(static, dh(KEYS["S"], FORGED), dh(link[3:35], FORGED))
    keys = wire.session_keys(KEYS["S"], hello, Kind.LINK, link[3:59], shared)
    answer = session.receive(wire.pack(Kind.GET, wire.seal(keys.up, Kind.GET, b"")))
    return wire.open_sealed(keys.down, Kind.OK_GET, answer[3:]) == RESPONSE


@pytest.mark.parametrize("secrets", ["k", "e", "f"])
def test_a_shard_goes_to_a_holder_of_its_clients_key_or_of_the_servers(secrets: str) -> None:
    assert not plays_the_client(secrets)
    assert plays_the_client(f"{secrets} c")
    assert plays_the_client(f"{secrets} s"), "docs/security.md says so: whoever holds s can be any client"


# ---- a recording and the server's key


def test_whoever_steals_the_servers_key_learns_who_asked() -> None:
    """The identity has no forward secrecy, and docs/security.md says so; without the key it is not to be had."""
    asked = wire.open_hello(KEYS["s"], FRAMES["Hello"])
    assert KEYS["C"] == asked.C
    for shared in shared_values("c k f own"):
        with pytest.raises(Fault):
            unbox(shared, wire.outer_nonce(KEYS["E"], KEYS["S"]), FRAMES["Hello"][35:])


def test_a_recorded_hello_shows_whether_the_client_is_still_known() -> None:
    """By the type of the answer, and docs/security.md says so; nothing else of the answer can be read."""
    known, gone = serving().server(), Serving(keypair("s")).server()
    assert known.receive(FRAMES["Hello"])[2] == Kind.LINK
    assert gone.receive(FRAMES["Hello"])[2] == Kind.KEY_NOT_FOUND


# ---- the sealed definition

TEXT = b"[clients]\n"
COMPANION = read_keypair(key_text(K))
SEALED = envelope.seal(TEXT, COMPANION, KEYS["S"], serial=7).sealed


def test_a_definition_opens_to_the_server_and_the_companion_only() -> None:
    header, sealed = SEALED[: envelope.HEADER_BYTES], SEALED[envelope.HEADER_BYTES :]
    nonce = blake(24, b"def-non", header)
    for shared in shared_values("c e f own"):
        with pytest.raises(Fault):
            unbox(shared, nonce, sealed)
    for name in ("s", "k"):
        assert any(shared == dh(KEYS["S"], K) for shared in shared_values(name))
    assert unbox(dh(KEYS["S"], K), nonce, sealed) == TEXT


def test_whoever_holds_the_servers_key_can_open_and_forge_definitions() -> None:
    """The box is symmetric, and docs/security.md says so: the companion's own key was never used here."""
    header = SEALED[: envelope.HEADER_BYTES]
    forged = header + Box(keypair("s"), COMPANION.public).seal(b"[clients]\n#", blake(24, b"def-non", header))
    assert envelope.Envelope(forged, "FILE").open_as_companion(COMPANION) == b"[clients]\n#"
    assert envelope.Envelope(SEALED, "FILE").open_as_server(keypair("s"), {COMPANION.public}) == TEXT
