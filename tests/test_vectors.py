"""Every known answer comes out of coffer byte for byte, and goes back in."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from coffer import codec
from coffer._core import Box, blake
from coffer.envelope import format_armour, parse_armour, seal
from coffer.errors import FrameError, IdError
from coffer.identity import format_id, parse_id
from coffer.message import Kind
from coffer.protocol import ClientSession
from known import (
    FRAMES,
    KEYS,
    RESPONSE,
    TEXTS,
    VECTORS,
    WIRE,
    key_text,
    keypair,
    load,
    read_keypair,
    unhex,
    with_known_salt,
)
from serving import Serving, talk

IDS, RESPONSES, DEFINITION = load("id"), load("response"), load("definition")


def known_serving() -> Serving:
    return Serving(keypair("s"), epoch=keypair("f"), shards={"web": ([KEYS["C"]], RESPONSE)})


def known_client(**options: Any) -> ClientSession:
    return ClientSession(keypair("c"), KEYS["S"], ephemeral=keypair("e"), **options)


@pytest.mark.parametrize("name", "csef")
def test_a_key_file_gives_the_known_public_key(name: str) -> None:
    assert keypair(name).public == KEYS[name.upper()]


def test_the_nonces_and_boxes_inside_hello_are_the_known_ones() -> None:
    known, (E, S, C) = unhex(WIRE["hello"]), (KEYS[name] for name in "ESC")
    assert blake(24, b"h-inner", E + S + C) == known["inner nonce"]
    assert blake(24, b"h-outer", E + S) == known["outer nonce"]
    for inner in (Box(keypair("c"), S), Box(keypair("s"), C)):
        assert inner.seal(C, known["inner nonce"]) == known["inner box"]
    for outer in (Box(keypair("e"), S), Box(keypair("s"), E)):
        assert outer.seal(C + known["inner box"], known["outer nonce"]) == FRAMES["Hello"][35:]


@pytest.mark.parametrize("name", ["Link", "KeyNotFound", "Error"])
def test_the_transcript_is_the_known_one(name: str) -> None:
    kind = {"Link": Kind.LINK, "KeyNotFound": Kind.KEY_NOT_FOUND, "Error": Kind.ERROR}[name]
    known = unhex(WIRE["session after"][name])
    transcript = blake(32, b"transcr", KEYS["S"] + FRAMES["Hello"] + bytes([kind]) + KEYS["F"] + KEYS["R"])
    assert transcript == known["transcript"]
    shared = unhex(WIRE["shared"])
    keys = hashlib.blake2b(
        transcript + shared["dh(S,e)"] + shared["dh(F,e)"], key=shared["dh(S,c)"], person=b"coffer/1:keys"
    ).digest()
    assert keys == known["up"] + known["down"]


def test_a_whole_session_is_the_known_one_on_both_sides() -> None:
    client, server = known_client(), known_serving().server(wrap=with_known_salt)
    assert talk(client, server) == [FRAMES[name] for name in ("Hello", "Link", "Get", "OkGet", "Bye")]
    assert (client.response, client.fault, server.fault) == (RESPONSE, None, None)
    assert client.closed and server.closed


@pytest.mark.parametrize("second_key_first", [True, False])
def test_the_known_session_is_the_same_while_the_server_rotates_its_key(second_key_first: bool) -> None:
    keypairs = (keypair("e"), keypair("s")) if second_key_first else (keypair("s"), keypair("e"))
    serving = Serving(*keypairs, epoch=keypair("f"), shards={"web": ([KEYS["C"]], RESPONSE)})
    assert talk(known_client(), serving.server(wrap=with_known_salt))[3] == FRAMES["OkGet"]


def test_a_ping_is_the_known_one() -> None:
    client, server = known_client(ask=False), known_serving().server(wrap=with_known_salt)
    assert talk(client, server) == [FRAMES[name] for name in ("Hello", "Link", "Bye")]
    assert client.linked and client.response is None and server.fault is None


def test_key_not_found_is_the_known_one() -> None:
    client, server = known_client(), Serving(keypair("s"), epoch=keypair("f")).server(wrap=with_known_salt)
    assert talk(client, server) == [FRAMES["Hello"], FRAMES["KeyNotFound"]]
    assert client.unknown and client.fault is None


def test_an_error_after_hello_is_the_known_one() -> None:
    client = known_client()
    server = known_serving().server(TEXTS["Error after Hello"], wrap=with_known_salt)
    assert talk(client, server) == [FRAMES["Hello"], FRAMES["Error after Hello"]]
    assert client.refusal == TEXTS["Error after Hello"]


def test_an_error_after_get_is_the_known_one() -> None:
    client, server = known_client(), known_serving().server(wrap=with_known_salt)
    get = client.receive(server.receive(client.hello))
    server.refusal = TEXTS["Error after Get"]
    error = server.receive(get)
    assert error == FRAMES["Error after Get"]
    assert client.receive(error) == b"" and client.refusal == TEXTS["Error after Get"]


def test_every_known_frame_is_made_by_a_test_above() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert FRAMES
    assert [name for name in FRAMES if f'"{name}"' not in source] == []


@pytest.mark.parametrize("known", IDS["good"], ids=lambda known: known["id"][:4])
def test_an_id_is_written_and_read(known: dict[str, str]) -> None:
    public = bytes.fromhex(known["pk"])
    assert format_id(public) == known["id"]
    for text in (known["id"], known["id"].lower(), known["id"].replace("-", " "), known["id"].replace("-", "")):
        assert parse_id(text) == public


REASONS = {
    "wrong checksum": "wrong checksum: a letter of the id is mistyped",
    "too short": "an id has 56 letters, this has 52",
    "too long": "an id has 56 letters, this has 57",
    "1 is not": "'1' is not a letter of base32 (A to Z and 2 to 7)",
    "not ASCII": r"'\u017f' is not a letter of base32 (A to Z and 2 to 7)",
    "low-order": "a low-order key: no coffer program makes such an id",
    "non-canonical": "a non-canonical key: no coffer program makes such an id",
}


@pytest.mark.parametrize("known", IDS["bad"], ids=lambda known: known["why"])
def test_a_bad_id_is_refused_for_its_reason(known: dict[str, str]) -> None:
    (reason,) = [text for start, text in REASONS.items() if known["why"].startswith(start)]
    with pytest.raises(IdError, match=f"^{re.escape(reason)}$"):
        parse_id(known["id"])


@pytest.mark.parametrize("case", RESPONSES["cases"], ids=lambda case: case["toml"])
def test_a_value_becomes_the_known_response_and_comes_back(case: dict[str, str]) -> None:
    known = bytes.fromhex(case["response"])
    assert codec.encode(tomllib.loads(case["toml"])) == known
    assert codec.encode(codec.decode(known)) == known


def test_a_shard_becomes_the_known_response_and_comes_back() -> None:
    shard = {each["key"]: each["value"] for each in WIRE["response"]["secrets"]}
    assert codec.encode(shard) == RESPONSE
    assert list(codec.decode(RESPONSE).items()) == list(shard.items())


@pytest.mark.parametrize("case", RESPONSES["refused"], ids=lambda case: case["why"])
def test_a_response_in_any_other_form_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(FrameError, match=r"^coffer response, byte \d+: "):
        codec.decode(bytes.fromhex(case["response"]))


def definition_keypair(name: str) -> Any:
    return read_keypair(key_text(bytes.fromhex(DEFINITION[name])))


def test_a_definition_seals_to_the_known_text_and_opens_at_both_ends() -> None:
    k, s = definition_keypair("k"), definition_keypair("s")
    text, armoured = DEFINITION["definition"].encode(), DEFINITION["armored"].encode()
    salt = bytes.fromhex(DEFINITION["salt"])
    assert format_armour(seal(text, k, s.public, DEFINITION["serial"], salt=salt)) == armoured
    envelope = parse_armour(armoured, "FILE")
    assert (envelope.serial, envelope.companion, envelope.server) == (DEFINITION["serial"], k.public, s.public)
    assert envelope.open_as_server(s, [k.public]) == envelope.open_as_companion(k) == text


def test_every_vector_file_is_read_by_some_test() -> None:
    tests = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py")]
    files = sorted(VECTORS.glob("*.json"))
    assert len(files) >= 4
    assert [path.name for path in files if not any(f'"{path.stem}"' in text for text in tests)] == []


def test_every_list_of_vectors_holds_some() -> None:
    for cases in (IDS["good"], IDS["bad"], RESPONSES["cases"], RESPONSES["refused"], FRAMES, WIRE["session after"]):
        assert len(cases) >= 3
