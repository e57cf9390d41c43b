"""The coffer response: one form for each shard, and nothing else is read."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cbor2
import pytest
import tomli
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coffer.codec import DATE_TAG, LOCAL_TAG, decode, encode
from coffer.errors import FrameError
from coffer.message import SHARD_LIMIT_BYTES
from coffer.shard import Shard, format_value, kind_of

VECTORS = json.loads(Path(__file__).with_name("vectors").joinpath("response.json").read_text())
CASES = [(case["toml"], bytes.fromhex(case["response"])) for case in VECTORS["cases"]]
REFUSED = [(case["why"], bytes.fromhex(case["response"])) for case in VECTORS["refused"]]

HEAD = bytes.fromhex("81a2636b657961616576616c7565")  # one pair, key "a"; the value follows
# The machine may be busy, and the first draw of a text loads the tables of Unicode.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CANARY = "canary-7f3a"


def same(first: Any, second: Any) -> bool:
    """Equal in order, type and every bit of a float, all NaN being one."""
    return [(k, kind_of(v), format_value(v)) for k, v in first.items()] == [
        (k, kind_of(v), format_value(v)) for k, v in second.items()
    ]


def values() -> st.SearchStrategy[Any]:
    zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    moments = st.datetimes() | st.datetimes(timezones=zones) | st.dates() | st.times()
    floats = st.floats() | st.floats(width=32) | st.floats(width=16)
    return st.text() | st.integers(-(2**63), 2**63 - 1) | floats | st.booleans() | moments


def shards() -> st.SearchStrategy[dict[str, Any]]:
    keys = st.text(min_size=1).filter(lambda key: "\0" not in key)
    return st.dictionaries(keys, values(), max_size=30)


def refusal(response: bytes) -> str:
    with pytest.raises(FrameError) as caught:
        decode(response)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def test_there_are_vectors() -> None:
    assert len(CASES) >= 28
    assert len(REFUSED) >= 29


@pytest.mark.parametrize(("toml", "response"), CASES, ids=[toml for toml, _ in CASES])
def test_each_vector_holds_both_ways(toml: str, response: bytes) -> None:
    table = tomli.loads(toml)
    assert encode(table) == response
    assert same(decode(response), table)


@pytest.mark.parametrize(("why", "response"), REFUSED, ids=[why for why, _ in REFUSED])
def test_each_refused_vector_is_refused(why: str, response: bytes) -> None:
    assert refusal(response).startswith("coffer response, byte ")


REASONS = [
    ("no bytes", b"", "byte 0: a cut response"),
    ("a map for an array", b"\xa0", "byte 1: an item that may not stand here"),
    ("an array of unknown length", b"\x9f\xff", "byte 1: an item that may not stand here"),
    ("a count of 2^64 - 1", b"\x9b" + b"\xff" * 8, "byte 9: a cut response"),
    ("a text of 2^63 bytes", HEAD + b"\x7b\x80" + bytes(7), "byte 23: a cut response"),
    ("value before key", b"\x81\xa2\x65value", "byte 6: an entry that is not a key and a value"),
    ("an empty key", b"\x81\xa2\x63key\x60\x65value\x01", "byte 14: an empty key"),
    ("a key with a NUL", b"\x81\xa2\x63key\x61\0\x65value\x01", "byte 15: a key that holds a NUL"),
    ("a key twice", b"\x82" + HEAD[1:] + b"\x01" + HEAD[1:] + b"\x02", "byte 29: a key that comes twice"),
    ("bytes after the end", HEAD + b"\x01\x01", "byte 15: bytes after the end"),
    ("a long number", HEAD + b"\x18\x17", "byte 16: a number not in its shortest form"),
    ("a long length", HEAD + b"\x78\x01a", "byte 16: a number not in its shortest form"),
    ("a long tag", HEAD + b"\xd8\x00\x74", "byte 16: a number not in its shortest form"),
    ("2^63", HEAD + b"\x1b\x80" + bytes(7), "byte 23: an integer outside 64 bits"),
    ("-2^63 - 1", HEAD + b"\x3b\x80" + bytes(7), "byte 23: an integer outside 64 bits"),
    ("a long float", HEAD + b"\xfa" + struct.pack(">f", 1.0), "byte 19: a float not in its shortest form"),
    ("a NaN with a payload", HEAD + b"\xf9\x7e\x01", "byte 17: a float not in its shortest form"),
    ("a negative NaN", HEAD + b"\xf9\xfe\x00", "byte 17: a float not in its shortest form"),
    ("undefined", HEAD + b"\xf7", "byte 15: an item that may not stand here"),
    ("an overlong UTF-8 form", HEAD + b"\x62\xc0\xaf", "byte 17: text that is not UTF-8"),
    ("a surrogate in UTF-8", HEAD + b"\x63\xed\xa0\x80", "byte 18: text that is not UTF-8"),
]


@pytest.mark.parametrize(("response", "reason"), [r[1:] for r in REASONS], ids=[r[0] for r in REASONS])
def test_a_refusal_names_the_byte_and_the_reason(response: bytes, reason: str) -> None:
    assert refusal(response) == f"coffer response, {reason}"


MOMENTS = [
    (0, "1979-05-27T07:32:00"),  # no zone
    (0, "1979-05-27T07:32:00+00:00"),  # written Z
    (0, "1979-05-27T07:32:00-00:00"),
    (0, "1979-05-27t07:32:00Z"),
    (0, "1979-05-27T07:32:00z"),
    (0, "1979-05-27 07:32:00Z"),
    (0, "1979-05-27T07:32Z"),
    (0, "19790527T073200Z"),
    (0, "1979-W21-7T07:32:00Z"),
    (0, "1979-05-27T07:32:00.5Z"),
    (0, "1979-05-27T07:32:00.000000Z"),
    (0, "1979-05-27T07:32:00,500000Z"),
    (0, "1979-05-27T07:32:60Z"),
    (0, "1979-05-27T24:00:00Z"),
    (0, "1979-05-27T07:32:00+24:00"),
    (0, "1979-05-27T07:32:00+01:00:30"),
    (0, "1979-05-27T07:32:00+0100"),
    (0, "0000-01-01T00:00:00Z"),
    (0, "1979-05-27"),
    (0, "07:32:00"),
    (0, ""),
    (1004, "19790527"),
    (1004, "1979-05-27T00:00:00"),
    (1004, "1979-W21-7"),
    (1004, "1979-02-29"),
    (1004, "1979-05-27 "),
    (1004, "\u0661979-05-27"),  # a digit, but not an ASCII one
    (LOCAL_TAG, "1979-05-27T07:32:00Z"),
    (LOCAL_TAG, "07:32:00+01:00"),
    (LOCAL_TAG, "07:32:00Z"),
    (LOCAL_TAG, "T07:32:00"),
    (LOCAL_TAG, "07:32"),
    (LOCAL_TAG, "24:00:00"),
    (LOCAL_TAG, "07:32:00.000000"),
    (LOCAL_TAG, "1979-05-27"),
    (1, "1979-05-27T07:32:00Z"),
    (100, "1979-05-27"),
    (32, "https://example.org"),
    (LOCAL_TAG + 1, "07:32:00"),
]


@pytest.mark.parametrize(("tag", "text"), MOMENTS)
def test_a_date_in_any_other_form_or_under_another_tag_is_refused(tag: int, text: str) -> None:
    reason = refusal(HEAD + cbor2.dumps(cbor2.CBORTag(tag, text)))
    assert reason.split(": ")[1] in (
        "a tag or date form that coffer does not have",
        "a local time with an offset",
        "an offset that is not whole minutes",
    )


def test_a_tag_around_something_other_than_text_is_refused() -> None:
    for tag in (0, DATE_TAG, LOCAL_TAG):
        for inner in (1, b"x", ["1979-05-27"], cbor2.CBORTag(DATE_TAG, "1979-05-27")):
            refusal(HEAD + cbor2.dumps(cbor2.CBORTag(tag, inner)))


@PATIENT
@given(shards())
@example({})
@example({"a": -0.0, "b": float("nan"), "c": 65504.0, "d": 2.0**-24, "e": 3.4028234663852886e38})
def test_what_is_encoded_decodes_to_the_same_values_of_the_same_types(table: dict[str, Any]) -> None:
    response = encode(table)
    shard = decode(response)
    assert same(shard, table)
    assert encode(shard) == response


@PATIENT
@given(shards())
def test_cbor2_reads_what_we_write_as_we_do(table: dict[str, Any]) -> None:
    """An independent reader agrees on keys, order and every value; the tag that is ours it hands over."""
    pairs = cbor2.loads(encode(table), tag_hook=lambda tag, _: tag)
    assert [list(pair) for pair in pairs] == [["key", "value"]] * len(table)
    for pair, (key, value) in zip(pairs, table.items(), strict=True):
        assert pair["key"] == key
        read = pair["value"]
        if isinstance(read, cbor2.CBORTag):
            assert (read.tag, read.value) == (LOCAL_TAG, format_value(value))
        elif isinstance(read, datetime):
            assert read == value
        else:
            assert (type(read), format_value(read)) == (type(value), format_value(value))


@PATIENT
@given(shards())
def test_the_quick_way_through_cbor2_writes_what_its_canonical_way_writes(table: dict[str, Any]) -> None:
    plain = {key: value for key, value in table.items() if isinstance(value, str | int)}
    canonical = cbor2.dumps([{"key": k, "value": v} for k, v in plain.items()], canonical=True)
    assert encode(plain) == canonical


TOML_VALUES = st.sampled_from(
    ['"x"', '"""\nx\n"""', "'\\x'", "0", "-1", "0xff", "1e3", "-0.0", "nan", "-inf", "true", "1979-05-27"]
) | st.sampled_from(["07:32:00.25", "1979-05-27T07:32:00", "1979-05-27T07:32:00-07:00", "1979-05-27 07:32:00.1234567Z"])


@PATIENT
@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), TOML_VALUES))
def test_from_toml_to_the_client_each_value_keeps_its_type(written: dict[str, str]) -> None:
    table = tomli.loads("".join(f"{key} = {value}\n" for key, value in written.items()))
    shard = decode(encode(table))
    assert same(shard, table)
    assert [type(value) for value in shard.values()] == [type(value) for value in table.values()]


GOOD = [response for _, response in CASES] + [
    b"\x80",
    encode({"a": "x" * 30, "bb": -300, "c": 1.1, "d": datetime(2024, 2, 29, tzinfo=UTC)}),
]


@pytest.mark.parametrize("response", GOOD, ids=bytes.hex)
def test_every_truncation_is_refused(response: bytes) -> None:
    for length in range(len(response)):
        assert "cut response" in refusal(response[:length])


@pytest.mark.parametrize("response", GOOD, ids=bytes.hex)
def test_every_altered_byte_is_refused_or_is_the_one_form_of_another_shard(response: bytes) -> None:
    for at in range(len(response)):
        for byte in range(256):
            altered = response[:at] + bytes([byte]) + response[at + 1 :]
            try:
                shard = decode(altered)
            except FrameError:
                continue
            assert encode(shard) == altered


@settings(PATIENT, max_examples=500)
@given(st.sampled_from(GOOD), st.data())
def test_spliced_responses_are_refused_or_are_the_one_form_of_a_shard(response: bytes, data: Any) -> None:
    other = data.draw(st.sampled_from(GOOD))
    cut, paste = data.draw(st.integers(0, len(response))), data.draw(st.integers(0, len(other)))
    spliced = response[:cut] + data.draw(st.binary(max_size=9)) + other[paste:]
    try:
        shard = decode(spliced)
    except FrameError:
        return
    assert encode(shard) == spliced


def test_a_response_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    room = SHARD_LIMIT_BYTES - len(HEAD) - 3
    assert len(encode({"a": "x" * room})) == SHARD_LIMIT_BYTES
    assert decode(encode({"a": "x" * room})) == {"a": "x" * room}
    assert refusal(encode({"a": "x" * (room + 1)})) == "coffer response, byte 0: more than 65,279 bytes"


def test_no_refusal_shows_or_carries_what_the_response_holds() -> None:
    response = encode({CANARY: CANARY, "b": CANARY})
    spoilt = [response[:-1], response[:-1] + b"\xff", response + b"\x00", b"\x83" + response[1:]]
    spoilt.append(b"\x82" + encode({CANARY: 1})[1:] * 2)
    spoilt.append(HEAD + b"\xc0" + encode({"a": CANARY})[len(HEAD) :])
    spoilt.append(HEAD + b"\x6c" + CANARY.encode() + b"\xff")
    for altered in spoilt:
        assert CANARY not in refusal(altered)


def test_a_kind_that_no_shard_holds_is_not_encoded() -> None:
    for value in (None, b"x", [1], {"a": 1}):
        table: Any = {"a": value}
        with pytest.raises((TypeError, AttributeError)):
            encode(table)


def test_an_empty_shard_is_the_empty_array() -> None:
    assert encode(Shard()) == encode({}) == b"\x80"
    assert decode(b"\x80") == {}
