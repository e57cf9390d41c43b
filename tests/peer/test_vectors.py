"""Every known answer, byte for byte, made and read by the second implementation."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from . import envelope, response, wire
from .boxes import dh, public
from .fault import Fault
from .identity import format_id, parse_id
from .wire import Kind

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def unhex(table: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in table.items()}


WIRE, IDS, RESPONSES, DEFINITION = (vectors(name) for name in ("wire", "id", "response", "definition"))
KEYS, FRAMES = unhex(WIRE["keys"]), unhex(WIRE["frames"])
TEXTS = {name: text.encode() for name, text in WIRE["error texts"].items()}
CBOR = bytes.fromhex(WIRE["response"]["cbor"])
REPLIES = [("Link", Kind.LINK, b""), ("KeyNotFound", Kind.KEY_NOT_FOUND, KEYS["C"])]
REPLIES += [("Error after Hello", Kind.ERROR, TEXTS["Error after Hello"])]


def client() -> wire.ClientSession:
    return wire.ClientSession(KEYS["S"], KEYS["c"], KEYS["e"])


def server() -> wire.ServerSession:
    """A server that has heard the Hello of the vectors."""
    session = wire.ServerSession([KEYS["s"]], KEYS["f"], KEYS["R"])
    assert session.take_hello(FRAMES["Hello"]) == KEYS["C"]
    return session


def linked() -> tuple[wire.ClientSession, wire.ServerSession]:
    ours, theirs = client(), server()
    ours.take_reply(theirs.reply(Kind.LINK, b""))
    return ours, theirs


@pytest.mark.parametrize("name", "cesf")
def test_a_public_key_comes_of_its_secret(name: str) -> None:
    assert public(KEYS[name]) == KEYS[name.upper()]


@pytest.mark.parametrize(("one", "other"), ["Sc", "Se", "Fe"])
def test_both_ends_share_the_same_value(one: str, other: str) -> None:
    shared = bytes.fromhex(WIRE["shared"][f"dh({one},{other})"])
    assert dh(KEYS[one], KEYS[other]) == dh(KEYS[other.upper()], KEYS[one.lower()]) == shared


def test_hello_is_the_known_one() -> None:
    known, (S, E, C) = unhex(WIRE["hello"]), (KEYS[name] for name in "SEC")
    assert wire.inner_nonce(E, S, C) == known["inner nonce"]
    assert wire.outer_nonce(E, S) == known["outer nonce"]
    assert wire.inner_box(S, KEYS["c"], E) == known["inner box"]
    assert client().hello == FRAMES["Hello"]


def test_hello_opens_with_either_of_two_server_keys() -> None:
    for secrets in ([KEYS["e"], KEYS["s"]], [KEYS["s"], KEYS["e"]]):
        session = wire.ServerSession(secrets, KEYS["f"], KEYS["R"])
        assert session.take_hello(FRAMES["Hello"]) == KEYS["C"]
        assert session.reply(Kind.LINK, b"") == FRAMES["Link"]


@pytest.mark.parametrize(("name", "kind", "body"), REPLIES)
def test_a_reply_to_hello_is_the_known_one(name: str, kind: Kind, body: bytes) -> None:
    ours, theirs = client(), server()
    assert theirs.reply(kind, body) == FRAMES[name]
    assert ours.take_reply(FRAMES[name]) == (kind, body)
    known = unhex(WIRE["session after"][name.removesuffix(" after Hello")])
    assert ours.keys == theirs.keys == wire.Keys(known["transcript"], known["up"], known["down"])


def test_get_and_bye_are_the_known_ones() -> None:
    ours, theirs = linked()
    assert (ours.get(), ours.bye()) == (FRAMES["Get"], FRAMES["Bye"])
    assert theirs.take(FRAMES["Get"]) is Kind.GET
    assert theirs.take(FRAMES["Bye"]) is Kind.BYE


@pytest.mark.parametrize(
    ("name", "kind", "body"),
    [("OkGet", Kind.OK_GET, CBOR), ("Error after Get", Kind.ERROR, TEXTS["Error after Get"])],
)
def test_an_answer_to_get_is_the_known_one(name: str, kind: Kind, body: bytes) -> None:
    ours, theirs = linked()
    assert theirs.answer(kind, body) == FRAMES[name]
    assert ours.take_answer(FRAMES[name]) == (kind, body)


def test_every_frame_of_the_vectors_is_checked_above() -> None:
    checked = {name for name, _, _ in REPLIES} | {"Hello", "Get", "Bye", "OkGet", "Error after Get"}
    assert checked == FRAMES.keys()


@pytest.mark.parametrize("name", FRAMES)
def test_no_frame_opens_with_any_one_bit_flipped(name: str) -> None:
    frame = FRAMES[name]
    ours, theirs = linked()
    first = name in {reply for reply, _, _ in REPLIES}
    take = {"Hello": theirs.take_hello, "Get": theirs.take, "Bye": theirs.take}.get(
        name, client().take_reply if first else ours.take_answer
    )
    take(frame)
    for bit in range(24, len(frame) * 8):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Fault):
            take(bytes(broken))


@pytest.mark.parametrize("known", IDS["good"])
def test_an_id_is_written_and_read(known: dict[str, str]) -> None:
    key = bytes.fromhex(known["pk"])
    assert format_id(key) == known["id"]
    for text in (known["id"], known["id"].lower(), known["id"].replace("-", " ")):
        assert parse_id(text) == key


@pytest.mark.parametrize("known", IDS["bad"], ids=lambda known: known["why"])
def test_a_bad_id_is_refused_for_its_reason(known: dict[str, str]) -> None:
    reasons = {"too": "length", "1": "base32", "not": "base32"}
    word = known["why"].split()[0].rstrip(":")
    with pytest.raises(Fault, match=reasons.get(word, word)):
        parse_id(known["id"])


@pytest.mark.parametrize("case", RESPONSES["cases"], ids=lambda case: case["toml"])
def test_a_value_becomes_the_known_response_and_comes_back(case: dict[str, str]) -> None:
    known = bytes.fromhex(case["response"])
    assert response.encode(tomllib.loads(case["toml"])) == known
    assert response.encode(response.decode(known)) == known


def test_a_shard_becomes_the_known_response_and_comes_back() -> None:
    shard = {each["key"]: each["value"] for each in WIRE["response"]["secrets"]}
    assert response.encode(shard) == CBOR
    assert list(response.decode(CBOR).items()) == list(shard.items())


@pytest.mark.parametrize("case", RESPONSES["refused"], ids=lambda case: case["why"])
def test_a_response_in_any_other_form_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(Fault):
        response.decode(bytes.fromhex(case["response"]))


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("c0", "1979-05-27T07:32:00"),
        ("c0", "1979-05-27T07:32:00+00:00"),
        ("c0", "1979-05-27T07:32:00+0100"),
        ("c0", "1979-05-27T07:32:00+01:00:30"),
        ("c0", "1979-05-27T07:32:00+01:60"),
        ("c0", "1979-05-27 07:32:00Z"),
        ("c0", "1979-05-27t07:32:00z"),
        ("c0", "1979-05-27T07:32:00.5Z"),
        ("c0", "1979-05-27T07:32:00.000000Z"),
        ("c0", "1979-05-27T07:32Z"),
        ("d903ec", "19790527"),
        ("d903ec", "1979-W21-7"),
        ("d903ec", "1979-05-27T07:32:00"),
        ("da00c0ffee", "1979-05-27"),
        ("da00c0ffee", "1979-05-27T07:32:00Z"),
        ("da00c0ffee", "07:32:00+01:00"),
        ("da00c0ffee", "T07:32:00"),
        ("da00c0ffee", "07:32"),
        ("da00c0ffee", "24:00:00"),
    ],
)
def test_a_moment_written_otherwise_is_refused(tag: str, text: str) -> None:
    start = bytes.fromhex("81a2636b657961616576616c7565" + tag)
    length = bytes([0x60 + len(text)]) if len(text) < 24 else bytes([0x78, len(text)])
    with pytest.raises(Fault):
        response.decode(start + length + text.encode())


def test_a_definition_seals_to_the_known_text_and_opens_at_both_ends() -> None:
    keys = unhex({name: DEFINITION[name] for name in ("k", "K", "s", "S", "salt")})
    text = DEFINITION["definition"].encode()
    sealed = envelope.seal(text, keys["k"], keys["S"], DEFINITION["serial"], keys["salt"])
    assert envelope.armor(sealed) == DEFINITION["armored"]
    assert envelope.dearmor(DEFINITION["armored"].replace("\n", "\r\n\r\n")) == sealed
    assert envelope.open_sealed(sealed, keys["s"], keys["K"]) == text
    assert envelope.open_sealed(sealed, keys["k"], keys["S"]) == text
    assert envelope.parse_header(sealed).serial == DEFINITION["serial"]


def test_a_definition_with_any_one_bit_flipped_does_not_open() -> None:
    sealed = envelope.dearmor(DEFINITION["armored"])
    s, K = bytes.fromhex(DEFINITION["s"]), bytes.fromhex(DEFINITION["K"])
    for bit in range(len(sealed) * 8):
        broken = bytearray(sealed)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Fault):
            envelope.open_sealed(bytes(broken), s, K)
