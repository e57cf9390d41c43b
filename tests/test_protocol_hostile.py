"""What a stranger learns, and what a recorder, a forger and a changed bit can do: nothing, for each reason."""

from __future__ import annotations

import hashlib
import os

import pytest
from nacl import bindings

from coffer import message
from coffer._core import Box, ClientChannel, Keypair, blake, pack
from coffer.errors import FrameError, OpenError, OrderError, PeerError
from coffer.message import Kind
from coffer.protocol import ClientSession, ServerSession
from forging import ZERO_KEYS, box_key, flip, hello, inner_nonce, outer_nonce, zero_box
from known import FRAMES, KEYS, LOW_ORDER, PRIME, RESPONSE, WIRE, keypair, unhex, with_known_salt
from serving import Serving, talk

C, E = keypair("c"), keypair("e")
S = KEYS["S"]
SERVING = Serving(keypair("s"), epoch=keypair("f"), shards={"web": ([KEYS["C"]], RESPONSE)})
STRANGER = Keypair.generate()

OUTER = "Hello: the outer box does not open"
INNER = "Hello: the inner box does not open"


def server() -> ServerSession:
    return SERVING.server(wrap=with_known_salt)


def client() -> ClientSession:
    return ClientSession(C, S, ephemeral=keypair("e"))


def bits(name: str) -> range:
    return range(8 * len(FRAMES[name]))


# one bit


def test_no_hello_with_a_bit_flipped_gets_a_byte() -> None:
    for bit in bits("Hello"):
        session = server()
        reply = session.receive(flip(FRAMES["Hello"], bit))
        session.receive_end()
        assert (reply, session.told, session.client) == (b"", None, None)
        assert session.fault is not None


@pytest.mark.parametrize("name", ["Get", "Bye"])
def test_no_frame_of_a_client_with_a_bit_flipped_gets_a_shard_or_counts(name: str) -> None:
    for bit in bits(name):
        session = server()
        session.receive(FRAMES["Hello"])
        reply = session.receive(flip(FRAMES[name], bit))
        session.receive_end()
        assert reply == b"" and session.fault is not None
        assert session.told == Kind.LINK


@pytest.mark.parametrize("name", ["Link", "KeyNotFound", "Error after Hello"])
def test_no_answer_to_hello_with_a_bit_flipped_is_believed(name: str) -> None:
    for bit in bits(name):
        session = client()
        reply = session.receive(flip(FRAMES[name], bit))
        session.receive_end()
        assert reply == b"" and session.fault is not None
        assert (session.linked, session.unknown, session.refusal) == (False, False, None)


@pytest.mark.parametrize("name", ["OkGet", "Error after Get"])
def test_no_answer_to_get_with_a_bit_flipped_is_believed(name: str) -> None:
    for bit in bits(name):
        session = client()
        session.receive(FRAMES["Link"])
        reply = session.receive(flip(FRAMES[name], bit))
        session.receive_end()
        assert reply == b"" and session.fault is not None
        assert (session.response, session.refusal) == (None, None)


# silence


def test_the_forger_s_box_key_is_libsodium_s() -> None:
    secret, other = os.urandom(32), bindings.crypto_scalarmult_base(os.urandom(32))
    assert box_key(bindings.crypto_scalarmult(secret, other)) == bindings.crypto_box_beforenm(other, secret)


def low_order_E(point: bytes, key: bytes) -> bytes:
    inner = Box(STRANGER, S).seal(STRANGER.public, inner_nonce(point, S, STRANGER.public))
    return pack(Kind.HELLO, point + zero_box(outer_nonce(point, S), STRANGER.public + inner, key))


def low_order_C(point: bytes, key: bytes) -> bytes:
    return hello(S, E, C, C=point, inner=zero_box(inner_nonce(E.public, S, point), point, key))


LOW = {**LOW_ORDER, "p": PRIME.to_bytes(32, "little"), "p + 1": (PRIME + 1).to_bytes(32, "little")}
LOW |= {f"{name}, bit 255 set": flip(point, 255) for name, point in LOW_ORDER.items()}
OTHER_SERVER = Keypair.generate().public
INNERS = {
    "the inner box is noise": os.urandom(48),
    "the inner box is a stranger's": Box(STRANGER, S).seal(C.public, inner_nonce(E.public, S, C.public)),
    "the inner box names somebody else": Box(C, S).seal(STRANGER.public, inner_nonce(E.public, S, C.public)),
    "the inner box is of another Hello": Box(C, S).seal(C.public, inner_nonce(STRANGER.public, S, C.public)),
    "the inner box was made with the outer nonce": Box(C, S).seal(C.public, outer_nonce(E.public, S)),
}
SILENT: dict[str, tuple[bytes, type[PeerError], str]] = {
    "a wrong length": (b"\0\x7f\0", FrameError, "a frame of type 0x00 may not have 127 bytes"),
    "the longest length": (b"\xff\xff\0", FrameError, "a frame of type 0x00 may not have 65535 bytes"),
    "a wrong type": (b"\0\x80\7", OrderError, "a frame of type 0x07 may not come now"),
    "a Get first": (FRAMES["Get"], OrderError, "a frame of type 0x02 may not come now"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", OrderError, "a frame of type 0x54 may not come now"),
    "noise": (pack(Kind.HELLO, os.urandom(128)), OpenError, OUTER),
    "another server's Hello": (hello(OTHER_SERVER, E, C), OpenError, OUTER),
    "an E that is not the box's": (hello(S, E, C, E=STRANGER.public), OpenError, OUTER),
    **{
        f"E is {name}, key {how}": (low_order_E(point, key), OpenError, OUTER)
        for name, point in LOW.items()
        for how, key in ZERO_KEYS.items()
    },
    **{
        f"C is {name}, key {how}": (low_order_C(point, key), OpenError, INNER)
        for name, point in LOW.items()
        for how, key in ZERO_KEYS.items()
    },
    **{name: (hello(S, E, C, inner=inner), OpenError, INNER) for name, inner in INNERS.items()},
}


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize("known", [True, False], ids=["dh kept", "dh not kept"])
def test_a_stranger_gets_no_byte_and_is_named_to_nobody(name: str, known: bool) -> None:
    serving = Serving(keypair("s"), shards={"web": ([C.public], RESPONSE)})
    if known:
        talk(serving.client(C), serving.server())
    serving.asked.clear()
    frame, error, text = SILENT[name]
    session = serving.server()
    assert session.receive(frame) == b""
    assert type(session.fault) is error and str(session.fault) == text
    assert (session.closed, session.client, session.shard, session.told, serving.asked) == (True, None, None, None, [])
    assert session.receive(FRAMES["Hello"]) == b""


def test_silence_until_the_inner_box_opens_can_end_by_a_cut_or_a_deadline_too() -> None:
    for length in range(len(FRAMES["Hello"])):
        session = server()
        assert session.receive(FRAMES["Hello"][:length]) == b""
        session.receive_end()
        assert isinstance(session.fault, FrameError) and session.client is None


def test_whoever_makes_a_keypair_gets_key_not_found_and_nothing_else() -> None:
    mine, theirs = SERVING.client(STRANGER), SERVING.server(message.BUSY)
    assert [frame[2] for frame in talk(mine, theirs)] == [Kind.HELLO, Kind.KEY_NOT_FOUND]
    assert theirs.receive(FRAMES["Get"]) == b"" and isinstance(theirs.fault, OrderError)


def test_another_encoding_of_a_known_key_is_another_client() -> None:
    """dh() does not see bit 255, so the box opens: the table must not take the alias for the client."""
    alias = flip(C.public, 255)
    session = SERVING.server()
    assert session.receive(hello(S, E, C, C=alias))[2] == Kind.KEY_NOT_FOUND
    assert session.client == alias and session.shard is None


def test_another_encoding_of_an_ephemeral_key_is_hashed_as_it_came() -> None:
    alias = flip(E.public, 255)
    session = SERVING.server()
    assert session.receive(hello(S, E, C, E=alias))[2] == Kind.LINK


# a recorder


def record() -> dict[str, bytes]:
    return dict(zip(("Hello", "Link", "Get", "OkGet", "Bye"), talk(SERVING.client(C), SERVING.server()), strict=True))


def test_a_hello_played_again_earns_another_link_and_nothing_more() -> None:
    old = record()
    links = set()
    for _ in range(200):
        session = SERVING.server()
        links.add(session.receive(old["Hello"]))
        assert session.receive(old["Get"]) == b""
        assert isinstance(session.fault, OpenError) and session.told == Kind.LINK
    assert len(links) == 200 and old["Link"] not in links


def test_a_bye_of_another_session_does_not_count() -> None:
    old = record()
    session = SERVING.server()
    session.receive(old["Hello"])
    session.receive(old["Bye"])
    assert isinstance(session.fault, OpenError)


def test_no_recorded_answer_is_believed_in_another_session() -> None:
    old = record()
    for name in ("Link", "OkGet"):
        mine, theirs = SERVING.client(C), SERVING.server()
        if name == "OkGet":
            mine.receive(theirs.receive(mine.hello))
        assert mine.receive(old[name]) == b""
        assert isinstance(mine.fault, OpenError) and mine.response is None


def test_an_answer_to_the_same_hello_in_the_same_epoch_is_another_session() -> None:
    mine, one, other = SERVING.client(C), SERVING.server(), SERVING.server()
    link, _ = one.receive(mine.hello), other.receive(mine.hello)
    get = mine.receive(link)
    assert other.receive(get) == b"" and isinstance(other.fault, OpenError)


@pytest.mark.parametrize(
    ("taken", "name"), [([], "Hello"), (["Link"], "Hello"), (["Link"], "Get"), (["Link"], "Bye"), (["Link"], "Link")]
)
def test_a_client_refuses_its_own_frames_thrown_back_and_what_it_had_already(taken: list[str], name: str) -> None:
    session = client()
    for each in taken:
        session.receive(FRAMES[each])
    assert session.receive(FRAMES[name]) == b""
    assert isinstance(session.fault, OrderError) and session.response is None


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ([], "Link"),
        (["Hello"], "Link"),
        (["Hello"], "Hello"),
        (["Hello", "Get"], "OkGet"),
        (["Hello", "Get"], "Get"),
        (["Hello", "Get", "Bye"], "Bye"),
    ],
)
def test_a_server_refuses_its_own_frames_thrown_back_and_what_it_had_already(taken: list[str], name: str) -> None:
    session = server()
    for each in taken:
        session.receive(FRAMES[each])
    assert session.receive(FRAMES[name]) == b""
    assert isinstance(session.fault, OrderError)


@pytest.mark.parametrize("length", [16, 48, 72, 104, 272, 328])
def test_a_box_under_the_wrong_type_does_not_open(length: int) -> None:
    """The nonce is the type, and the transcript holds that of the reply: no body passes for another's."""
    for name, frame in FRAMES.items():
        for kind in (Kind.LINK, Kind.OK_GET, Kind.KEY_NOT_FOUND, Kind.ERROR):
            session = client()
            if kind == Kind.OK_GET or length == 272:
                session.receive(FRAMES["Link"])
            forged = pack(kind, frame[3:][:length].ljust(length, b"\0"))
            if forged != FRAMES[name]:
                session.receive(forged)
                session.receive_end()
                assert session.fault is not None and session.response is None and session.refusal is None


# the body of a box that opens


def test_a_bye_that_names_somebody_else_does_not_count() -> None:
    for body in (STRANGER.public, b"", bytes(32), flip(C.public, 255)):
        mine, theirs = ClientChannel(C, S), SERVING.server()
        mine.open_answer(Kind.LINK, theirs.receive(mine.hello)[3:])
        theirs.receive(mine.seal(Kind.BYE, body))
        assert theirs.fault is not None and theirs.closed


def test_a_key_not_found_that_names_somebody_else_does_not_count() -> None:
    for body in (STRANGER.public, bytes(32), flip(C.public, 255)):
        mine = SERVING.client(C)
        mine.receive(SERVING.responder.open_hello(mine.hello[3:]).answer(Kind.KEY_NOT_FOUND, body))
        assert isinstance(mine.fault, OpenError) and not mine.unknown


# after a fault


def test_a_session_never_works_again_after_a_fault() -> None:
    theirs = server()
    theirs.receive(b"\0\0\0")
    fault = theirs.fault
    assert theirs.receive(FRAMES["Hello"]) == b"" and theirs.closed and theirs.fault is fault
    mine = client()
    mine.receive(b"\0\0\0")
    fault = mine.fault
    for name in ("Link", "OkGet"):
        assert mine.receive(FRAMES[name]) == b""
    assert mine.closed and mine.fault is fault and mine.response is None and not mine.linked


def test_what_a_peer_sends_after_a_fault_is_not_kept() -> None:
    session = server()
    session.receive(b"\0\0\0")
    held = len(session._frames)
    for _ in range(100):
        session.receive(bytes(65_536))
    assert len(session._frames) == held


def test_a_low_order_server_key_starts_no_session() -> None:
    for point in LOW.values():
        with pytest.raises(OpenError, match=r"^a low-order public key$"):
            ClientSession(C, point)


@pytest.mark.parametrize("key", ZERO_KEYS.values(), ids=ZERO_KEYS)
def test_a_low_order_epoch_key_is_refused_even_from_the_holder_of_the_server_s_key(key: bytes) -> None:
    """Or a session's forward secrecy would hang on a value that everybody knows."""
    shared = unhex(WIRE["shared"])
    for point in LOW.values():
        lead = point + KEYS["R"]
        transcript = blake(32, b"transcr", S + FRAMES["Hello"] + bytes([Kind.LINK]) + lead)
        derived = hashlib.blake2b(transcript + shared["dh(S,e)"] + key, key=shared["dh(S,c)"], person=b"coffer/1:keys")
        box = bindings.crypto_secretbox(b"", bytes([Kind.LINK]).ljust(24, b"\0"), derived.digest()[32:])
        session = client()
        assert session.receive(pack(Kind.LINK, lead + box)) == b""
        assert isinstance(session.fault, OpenError) and not session.linked
