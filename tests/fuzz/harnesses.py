"""For each parser a function that takes any bytes and fails only when coffer breaks a promise, and seeds for it.

Not here: where the bytes come from, which is atheris (``__main__``) or hypothesis (``test_harnesses``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from coffer import codec, definition
from coffer._core import Frames, Keypair, Responder
from coffer.envelope import format_armour, parse_armour
from coffer.errors import DefinitionError, EnvelopeError, FrameError, IdError, KeyFileError, PeerError
from coffer.identity import format_id, parse_id
from coffer.message import Kind
from coffer.protocol import SERVER_STEPS, ClientSession, ServerSession, State
from known import FRAMES, KEYS, RESPONSE, key_text, keypair, load, read_keypair

HELLO, LINK, OK_GET = FRAMES["Hello"], FRAMES["Link"], FRAMES["OkGet"]
IDS, RESPONSES, DEFINITION = load("id"), load("response"), load("definition")
ARMOUR, TOML = DEFINITION["armored"].encode(), DEFINITION["definition"].encode()

own_keypair = functools.cache(keypair)


@functools.cache
def responder() -> Responder:
    return Responder((own_keypair("s"),), epoch=own_keypair("f"))


def frames(data: bytes) -> None:
    """A stream gives the same frames, or the same refusal, however the wire cuts it."""
    cut = data[0] % len(data) if data else 0
    assert _frames_of([data]) == _frames_of([data[:cut], data[cut:]])


def _frames_of(pieces: list[bytes]) -> list[object]:
    parser, found = Frames(), []
    lengths = SERVER_STEPS[State.HELLO] | SERVER_STEPS[State.GET] | {Kind.OK_GET: range(16, 4096)}
    try:
        for piece in pieces:
            parser.feed(piece)
            while (frame := parser.next(lengths)) is not None:
                kind, body = frame
                assert len(body) in lengths[kind]
                found.append(frame)
    except PeerError as error:
        found.append(str(error))
    return found


def hello(data: bytes) -> None:
    """Whoever did not make a Hello with a key of their own hears nothing from a server."""
    session = ServerSession(responder(), lambda id: None)
    reply = session.receive(data)
    assert not reply or data.startswith(HELLO)
    assert session.fault is None or isinstance(session.fault, PeerError)


def answer(data: bytes) -> None:
    """A client takes nothing from anyone but its server: the known session is all that opens."""
    session = ClientSession(own_keypair("c"), KEYS["S"], ephemeral=own_keypair("e"))
    session.receive(data)
    assert not session.linked or data.startswith(LINK)
    assert session.response is None or data == LINK + OK_GET
    assert session.fault is None or isinstance(session.fault, PeerError)


def response(data: bytes) -> None:
    """What a decoder takes, the encoder writes, byte for byte."""
    try:
        shard = codec.decode(data)
    except FrameError:
        return
    assert codec.encode(shard) == data
    assert codec.count(data) == len(shard)


def id(data: bytes) -> None:
    """An id that is taken is that of exactly one key, written in letters that may only differ in case and blanks."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        public = parse_id(text)
    except IdError as error:
        assert_is_one_line(error)
        return
    assert format_id(public).replace("-", "") == text.replace("-", "").replace(" ", "").upper()


def key_file(data: bytes) -> None:
    """A key file is taken or refused, and no refusal repeats what stood behind the key's name."""
    try:
        read: Keypair = read_keypair(data)
    except KeyFileError as error:
        assert_is_one_line(error)
        for line in data.split(b"\n"):
            _, _, secret = line.partition(b"-key-1:")
            assert line.startswith(b"#") or len(secret) < 8 or secret.decode("utf-8", "replace") not in str(error)
        return
    parse_id(format_id(read.public))


def envelope(data: bytes) -> None:
    """Of all sealed definitions only the one that the companion made opens, however its text was laid out."""
    try:
        parsed = parse_armour(data, "f")
        text = parsed.open_as_server(own_keypair("s"), {bytes.fromhex(DEFINITION["K"])})
    except EnvelopeError as error:
        assert_is_one_line(error)
        return
    assert text == TOML
    assert format_armour(parsed) == ARMOUR


def toml(data: bytes) -> None:
    """A definition is taken whole, or refused with findings that each fit one line."""
    try:
        parsed = definition.parse(data, source="f", server=KEYS["S"])
    except DefinitionError as error:
        assert error.findings
        for finding in error.findings:
            assert_is_one_line(finding)
        return
    for client in parsed.clients.values():
        assert codec.encode(client.shard) == client.encoded


def assert_is_one_line(error: object) -> None:
    assert str(error).isprintable(), repr(str(error))


class Harness(NamedTuple):
    fuzz_one: Callable[[bytes], None]
    seeds: list[bytes]


_RESPONSES = [bytes.fromhex(case["response"]) for case in RESPONSES["cases"] + RESPONSES["refused"]]
_IDS = [case["id"].encode() for case in IDS["good"] + IDS["bad"]]
_KEY_FILES = [b"# coffer key\n# id: AAAA\n\n" + key_text(KEYS[name]) for name in "csef"]
_TOMLS = [TOML, *(TOML + f"[more]\n{case['toml']}\n".encode() for case in RESPONSES["cases"])]

HARNESSES = {
    "frames": Harness(frames, [*FRAMES.values(), HELLO + FRAMES["Get"] + FRAMES["Bye"]]),
    "hello": Harness(hello, [HELLO, HELLO + FRAMES["Get"], HELLO + FRAMES["Bye"]]),
    "answer": Harness(answer, [LINK, LINK + OK_GET, *FRAMES.values()]),
    "response": Harness(response, [RESPONSE, *_RESPONSES]),
    "id": Harness(id, _IDS),
    "key_file": Harness(key_file, [*_KEY_FILES, b"# coffer-locked-key-1:secret-key-1:\n"]),
    "envelope": Harness(envelope, [ARMOUR, ARMOUR.replace(b"\n", b"\r\n\r\n")]),
    "definition": Harness(toml, _TOMLS),
}
