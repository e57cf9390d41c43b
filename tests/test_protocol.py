"""Both sessions, through every state: what they take, what they refuse and when, however the wire cuts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer import message
from coffer._core import Frames, Keypair
from coffer.errors import FrameError, OpenError, OrderError
from coffer.message import NAMES, Kind
from coffer.protocol import CLIENT_STEPS, SERVER_STEPS, ClientSession, ServerSession, State
from known import FRAMES, KEYS, RESPONSE, TEXTS, keypair, with_known_salt
from serving import Serving, talk

Session = ClientSession | ServerSession

C = keypair("c")
SERVING = Serving(keypair("s"), epoch=keypair("f"), shards={"web": ([KEYS["C"]], RESPONSE)})
REFUSING = Serving(keypair("s"), epoch=keypair("f"))


def server(serving: Serving = SERVING, refusal: bytes | None = None) -> ServerSession:
    return serving.server(refusal, wrap=with_known_salt)


def client() -> ClientSession:
    return ClientSession(C, KEYS["S"], ephemeral=keypair("e"))


def told(session: Session) -> tuple[object, ...]:
    """Everything a session says of itself."""
    fault = session.fault and (type(session.fault), str(session.fault))
    if isinstance(session, ServerSession):
        return session.closed, session.state, fault, session.told, session.client
    return session.closed, session.state, fault, session.response, session.refusal, session.unknown, session.linked


def run(make: Callable[[], Session], stream: bytes, cuts: list[int], end: bool = True) -> tuple[object, ...]:
    session = make()
    reply = b""
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reply += session.receive(memoryview(stream)[start:stop])
    if end:
        session.receive_end()
    return (reply, *told(session))


def join(*names: str, rest: bytes = b"") -> bytes:
    return b"".join(FRAMES[name] for name in names) + rest


BAD_BYE = FRAMES["Bye"][:-1] + bytes([FRAMES["Bye"][-1] ^ 1])
STREAMS: dict[str, tuple[Callable[[], Session], bytes]] = {
    "a fetch": (server, join("Hello", "Get", "Bye")),
    "a ping": (server, join("Hello", "Bye")),
    "a byte after Bye": (server, join("Hello", "Get", "Bye", rest=b"\0")),
    "a frame after Bye": (server, join("Hello", "Get", "Bye", "Bye")),
    "a second Get": (server, join("Hello", "Get", "Get")),
    "a second Hello": (server, join("Hello", "Hello")),
    "a Bye that does not open": (server, join("Hello", "Get") + BAD_BYE),
    "an unknown client that goes on": (partial(server, REFUSING), join("Hello", "Get")),
    "a refused client": (partial(server, SERVING, b"busy"), join("Hello")),
    "an OkGet": (client, join("Link", "OkGet")),
    "a byte after OkGet": (client, join("Link", "OkGet", rest=b"\0")),
    "a frame after OkGet": (client, join("Link", "OkGet", "OkGet")),
    "Link twice": (client, join("Link", "Link")),
    "an OkGet without a Link": (client, join("OkGet")),
    "KeyNotFound": (client, join("KeyNotFound")),
    "a byte after KeyNotFound": (client, join("KeyNotFound", rest=b"\0")),
    "an Error to Hello": (client, join("Error after Hello")),
    "an Error to Get, and a byte": (client, join("Link", "Error after Get", rest=b"\0")),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_session_is_the_same_however_the_wire_cuts_it(name: str) -> None:
    make, stream = STREAMS[name]
    whole = run(make, stream, [])
    assert run(make, stream, list(range(1, len(stream)))) == whole
    for cut in range(len(stream) + 1):
        assert run(make, stream, [cut]) == whole


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 420), max_size=8))
def test_a_session_is_the_same_in_any_number_of_pieces(name: str, cuts: list[int]) -> None:
    make, stream = STREAMS[name]
    assert run(make, stream, sorted(min(cut, len(stream)) for cut in cuts)) == run(make, stream, [])


def test_an_answer_that_is_cut_anywhere_is_no_answer() -> None:
    for stream in (
        join("Link", "OkGet"),
        join("Link", "Error after Get"),
        join("KeyNotFound"),
        join("Error after Hello"),
    ):
        for length in range(len(stream)):
            session = client()
            session.receive(stream[:length])
            session.receive_end()
            assert isinstance(session.fault, FrameError)
            assert (session.response, session.refusal, session.unknown) == (None, None, False)


def test_the_end_of_a_stream_is_a_fault_that_says_what_was_to_come() -> None:
    assert run(client, b"", [])[3] == (FrameError, "the stream ends where an answer to Hello was to come")
    assert run(client, join("Link")[:9], [])[3] == (
        FrameError,
        "the stream ends inside a frame where an answer to Hello was to come",
    )
    assert run(client, join("Link"), [])[3] == (FrameError, "the stream ends where an answer to Get was to come")
    assert run(server, join("Hello", "Get"), [])[3] == (FrameError, "the stream ends where Bye was to come")


def test_the_end_of_a_stream_after_the_session_is_no_fault() -> None:
    for make, stream in (STREAMS["a fetch"], STREAMS["an OkGet"], STREAMS["KeyNotFound"], STREAMS["a refused client"]):
        assert run(make, stream, [])[3] is None


# every cell of (state, type)


def sessions_in(state: str) -> Iterator[Session]:
    """Return a session in this state again and again."""
    while True:
        session: Session = server() if state in (State.HELLO, State.GET, State.BYE) else client()
        session.receive(
            {State.GET: join("Hello"), State.BYE: join("Hello", "Get"), State.OK_GET: join("Link")}.get(state, b"")
        )
        assert session.state == state
        yield session


CELLS = [(steps, state) for steps in (SERVER_STEPS, CLIENT_STEPS) for state in steps if state != State.CLOSED]
LENGTHS = (
    0,
    1,
    15,
    16,
    17,
    47,
    48,
    49,
    71,
    72,
    73,
    103,
    104,
    105,
    127,
    128,
    129,
    256,
    271,
    272,
    273,
    327,
    328,
    329,
    528,
)


@pytest.mark.parametrize(("steps", "state"), CELLS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_type_that_may_not_come_is_refused_after_three_bytes(steps: dict[str, dict[int, range]], state: str) -> None:
    sessions = sessions_in(state)
    for kind in set(range(256)) - set(steps[state]):
        for length in (message.HELLO_LENGTHS[0], 16, 0xFFFF)[: 3 if kind in NAMES else 1]:
            session = next(sessions)
            session.receive(length.to_bytes(2, "big"))
            assert session.fault is None
            assert session.receive(bytes([kind])) == b""
            assert isinstance(session.fault, OrderError) and session.closed
            assert str(session.fault) == f"a frame of type 0x{kind:02x} may not come now"


@pytest.mark.parametrize(("steps", "state"), CELLS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_wrong_length_is_refused_after_three_bytes(steps: dict[str, dict[int, range]], state: str) -> None:
    sessions = sessions_in(state)
    for kind, right in steps[state].items():
        for length in {*LENGTHS, *(each + 1 for each in right), *(each - 1 for each in right), 0xFFFF} - set(right):
            session = next(sessions)
            assert session.receive(length.to_bytes(2, "big") + bytes([kind])) == b""
            assert isinstance(session.fault, FrameError) and session.closed
            assert str(session.fault) == f"a frame of type 0x{kind:02x} may not have {length} bytes"


@pytest.mark.parametrize(("steps", "state"), CELLS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_right_header_waits_for_its_body_and_a_wrong_body_does_not_open(
    steps: dict[str, dict[int, range]], state: str
) -> None:
    sessions = sessions_in(state)
    for kind, right in steps[state].items():
        for length in {right[0], right[-1]}:
            session = next(sessions)
            assert session.receive(length.to_bytes(2, "big") + bytes([kind]) + bytes(length - 1)) == b""
            assert session.fault is None and not session.closed
            assert session.receive(b"\0") == b""
            assert isinstance(session.fault, OpenError) and session.closed


def test_of_all_lengths_only_those_of_the_table_pass() -> None:
    for steps, state in CELLS:
        for kind, right in steps[state].items():
            passed = [length for length in range(0x10000) if _passes(kind, length, steps[state])]
            assert passed == list(right)


def _passes(kind: int, length: int, lengths: dict[int, range]) -> bool:
    frames = Frames()
    frames.feed(length.to_bytes(2, "big") + bytes([kind]))
    try:
        return frames.next(lengths) is None
    except FrameError:
        return False


# what a session says


@pytest.mark.parametrize("text", [message.DRAINING, message.BUSY, message.UNAVAILABLE])
def test_an_error_is_sealed_before_and_after_link(text: bytes) -> None:
    for after_link in (False, True):
        mine, theirs = SERVING.client(C), SERVING.server(None if after_link else text)
        answer = theirs.receive(mine.hello)
        if after_link:
            get = mine.receive(answer)
            theirs.refusal = text
            answer = theirs.receive(get)
        assert text not in answer
        assert mine.receive(answer) == b"" and mine.closed and mine.refusal == text
        assert theirs.closed and theirs.told == Kind.ERROR and theirs.fault is None


def test_an_unknown_client_gets_key_not_found_even_from_a_busy_server() -> None:
    mine, theirs = SERVING.client(Keypair.generate()), SERVING.server(message.BUSY)
    talk(mine, theirs)
    assert mine.unknown and mine.refusal is None and theirs.told == Kind.KEY_NOT_FOUND


def test_a_client_that_only_asks_who_is_there_never_sees_a_shard() -> None:
    mine, theirs = SERVING.client(C, ask=False), SERVING.server()
    assert [frame[2] for frame in talk(mine, theirs)] == [Kind.HELLO, Kind.LINK, Kind.BYE]
    assert mine.linked and mine.response is None and mine.fault is None
    assert theirs.told == Kind.LINK and theirs.fault is None and theirs.closed


def test_the_table_is_asked_once_a_session_by_the_proven_key() -> None:
    serving = Serving(keypair("s"), shards={"web": ([C.public], RESPONSE)})
    talk(serving.client(C), serving.server())
    assert serving.asked == [C.public]


def test_a_session_keeps_the_shard_it_was_linked_to() -> None:
    serving = Serving(keypair("s"), shards={"web": ([C.public], b"\x80")})
    mine, theirs = serving.client(C), serving.server()
    get = mine.receive(theirs.receive(mine.hello))
    serving.table = REFUSING.table
    mine.receive(theirs.receive(get))
    assert mine.response == b"\x80" and theirs.shard is not None and theirs.shard.name == "web"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_278, message.SHARD_LIMIT_BYTES])
def test_a_response_of_any_size_arrives_whole_and_shows_only_its_blocks(size: int) -> None:
    response = bytes(range(256)) * 256
    serving = Serving(keypair("s"), shards={"web": ([C.public], response[:size])})
    mine = serving.client(C)
    said = talk(mine, serving.server())
    assert mine.response == response[:size]
    assert len(said[3]) == 3 + 16 + 256 * (size // 256 + 1)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"\xc3"])
def test_an_error_without_a_text_that_can_be_shown_is_a_fault(text: bytes) -> None:
    for after_link in (False, True):
        mine, theirs = SERVING.client(C), SERVING.responder.open_hello
        channel = theirs(mine.hello[3:])
        if after_link:
            mine.receive(channel.answer(Kind.LINK))
            mine.receive(channel.seal(Kind.ERROR, text))
        else:
            mine.receive(channel.answer(Kind.ERROR, text))
        assert isinstance(mine.fault, FrameError) and mine.refusal is None


def test_an_error_text_may_have_255_bytes() -> None:
    mine = SERVING.client(C)
    mine.receive(SERVING.responder.open_hello(mine.hello[3:]).answer(Kind.ERROR, b"x" * 255))
    assert mine.refusal == b"x" * 255 and mine.fault is None


def test_the_known_texts_of_error_are_all_there_are() -> None:
    assert set(TEXTS.values()) <= {message.DRAINING, message.BUSY, message.UNAVAILABLE}
