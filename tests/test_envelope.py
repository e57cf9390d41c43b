"""A sealed definition opens for one server and one companion, whole, or is refused in these words."""

from __future__ import annotations

import base64
import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer._core import Keypair, blake
from coffer.envelope import HEADER_BYTES, Envelope, armour_limit, format_armour, parse_armour, seal
from coffer.errors import EnvelopeError, OpenError
from coffer.identity import format_id
from forging import flip
from known import LOW_ORDER, key_text, load, read_keypair

KNOWN = load("definition")
K, S = (read_keypair(key_text(bytes.fromhex(KNOWN[name]))) for name in "ks")
OTHER = Keypair.generate()
TEXT = KNOWN["definition"].encode()
ARMOURED = KNOWN["armored"].encode()
SEALED = parse_armour(ARMOURED, "FILE").sealed
BEGIN, END = b"-----BEGIN COFFER DEFINITION-----", b"-----END COFFER DEFINITION-----"
ALTERED = "FILE: altered or damaged: it does not open"


def armour(sealed: bytes, width: int = 76) -> bytes:
    lines = textwrap.wrap(base64.b64encode(sealed).decode(), width)
    return "\n".join([BEGIN.decode(), *lines, END.decode(), ""]).encode()


def refusal(text: bytes) -> str:
    with pytest.raises(EnvelopeError) as caught:
        parse_armour(text, "FILE").open_as_server(S, [K.public])
    return str(caught.value)


@given(st.binary(max_size=2000), st.integers(1, 2**64 - 1))
def test_a_definition_comes_out_as_it_went_in(definition: bytes, serial: int) -> None:
    text = format_armour(seal(definition, K, S.public, serial))
    lines = text.decode("ascii").split("\n")
    assert lines[0] == BEGIN.decode() and lines[-2:] == [END.decode(), ""]
    assert all(len(line) == 76 for line in lines[1:-3]) and 1 <= len(lines[-3]) <= 76
    envelope = parse_armour(text, "FILE")
    assert (envelope.serial, envelope.companion, envelope.server) == (serial, K.public, S.public)
    assert envelope.open_as_server(S, [OTHER.public, K.public]) == envelope.open_as_companion(K) == definition


def test_the_same_definition_seals_to_other_bytes_each_time() -> None:
    one, other = (seal(TEXT, K, S.public, 7) for _ in range(2))
    assert one.sealed[HEADER_BYTES:] != other.sealed[HEADER_BYTES:]
    assert one.digest == blake(32, b"sealed", one.sealed) != other.digest


def test_line_ends_blank_lines_and_the_width_do_not_matter() -> None:
    for text in (
        ARMOURED.replace(b"\n", b"\r\n"),
        ARMOURED.replace(b"\n", b"\n\n"),
        b"\r\n\n" + ARMOURED.replace(b"\n", b"\r\n\r\n"),
        ARMOURED.rstrip(b"\n"),
        armour(SEALED, 64),
        armour(SEALED, 10_000),
    ):
        assert parse_armour(text, "FILE").sealed == SEALED


NOT_ONE = "FILE: not a sealed definition: it begins with -----BEGIN COFFER DEFINITION-----"
CUT = "FILE: cut off: a sealed definition ends with -----END COFFER DEFINITION-----"
NO_BASE64 = "FILE: damaged: between its first and last line is no base64"
SHORT = "FILE: too short for a sealed definition"
OTHER_VERSION = "FILE: not a sealed definition of this version of coffer"
BODY = ARMOURED.removeprefix(BEGIN + b"\n").removesuffix(END + b"\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "FILE: empty"),
        (b"\n\r\n\n", "FILE: empty"),
        (b"\r\r\n", NOT_ONE),
        (TEXT, NOT_ONE),
        (b"# a comment\n" + ARMOURED, NOT_ONE),
        (b" " + ARMOURED, NOT_ONE),
        (b"\xef\xbb\xbf" + ARMOURED, NOT_ONE),
        (ARMOURED.replace(b"COFFER", b"AGE"), NOT_ONE),
        (BEGIN, CUT),
        (ARMOURED.replace(END, b""), CUT),
        (ARMOURED + b"more\n", CUT),
        (ARMOURED[:-2], CUT),
        (BEGIN + b"\n" + END, SHORT),
        (BEGIN + b"\n====\n" + END, NO_BASE64),
        (ARMOURED * 2, NO_BASE64),
        (BEGIN + b"\n" + BODY.replace(b"\n", b" \n", 1) + END, NO_BASE64),
        (BEGIN + b"\n" + BODY.replace(b"Q", b"-", 1) + END, NO_BASE64),
        (BEGIN + b"\n" + BODY.replace(b"Q", b"\xe6", 1) + END, NO_BASE64),
        (BEGIN + b"\n" + BODY.replace(b"=\n", b"\n") + END, NO_BASE64),
        (BEGIN + b"\n" + BODY.replace(b"=\n", b"==\n") + END, NO_BASE64),
        (BEGIN + b"\n" + BODY.replace(b"I=\n", b"J=\n") + END, "FILE: damaged: its base64 is not canonical"),
        (armour(SEALED[: HEADER_BYTES + 15]), SHORT),
        (armour(b"COFFERD2" + SEALED[8:]), OTHER_VERSION),
        (armour(bytes(200)), OTHER_VERSION),
        (armour(SEALED[:8] + bytes(8) + SEALED[16:]), "FILE: its serial is 0, and they start at 1"),
        (armour(SEALED[: HEADER_BYTES + 16]), ALTERED),
        (armour(SEALED + b"\0"), ALTERED),
        (armour(SEALED[:-1]), ALTERED),
    ],
)
def test_a_text_that_is_no_sealed_definition_is_refused_in_these_words(text: bytes, words: str) -> None:
    assert refusal(text) == words


def test_a_sealed_definition_cut_anywhere_is_refused() -> None:
    for length in range(len(ARMOURED) - 1):
        assert refusal(ARMOURED[:length]) in (CUT, NOT_ONE, "FILE: empty")
    for length in range(len(SEALED)):
        assert refusal(armour(SEALED[:length])) in (SHORT, ALTERED)


def test_no_sealed_definition_with_a_bit_flipped_opens() -> None:
    for bit in range(8 * len(SEALED)):
        broken = flip(SEALED, bit)
        with pytest.raises(EnvelopeError):
            Envelope(broken, "FILE").open_as_server(S, [K.public])
        with pytest.raises(EnvelopeError):
            Envelope(broken, "FILE").open_as_companion(K)
    for bit in range(8 * (len(ARMOURED) - 1)):
        refusal(flip(ARMOURED, bit))


def test_it_says_whose_it_is_when_it_is_not_ours() -> None:
    envelope = parse_armour(ARMOURED, "FILE")
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_as_server(OTHER, [K.public])
    assert str(caught.value) == f"FILE: sealed for server {format_id(S.public)}, not for this one"
    assert caught.value.hint == f"seal it with --server {format_id(OTHER.public)}"
    for trusted in ([], [OTHER.public]):
        with pytest.raises(EnvelopeError) as caught:
            envelope.open_as_server(S, trusted)
        assert str(caught.value) == f"FILE: sealed by companion {format_id(K.public)}, whom nobody told us to trust"
        assert caught.value.hint == "if that is your companion, name it with --companion"
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_as_companion(OTHER)
    assert str(caught.value) == f"FILE: sealed by companion {format_id(K.public)}, which is not this key"


def test_whoever_is_named_in_the_header_must_have_sealed_it() -> None:
    """The header's names are anybody's to write: another's box behind them does not open."""
    forged = SEALED[:16] + K.public + S.public + SEALED[80:104] + seal(TEXT, OTHER, S.public, 7).sealed[104:]
    assert refusal(armour(forged)) == ALTERED


@pytest.mark.parametrize("name", LOW_ORDER)
def test_a_low_order_key_in_the_header_opens_nothing(name: str) -> None:
    point = LOW_ORDER[name]
    sealed_by = Envelope(SEALED[:16] + point + SEALED[48:], "FILE")
    with pytest.raises(EnvelopeError, match=f"^{re.escape(ALTERED)}$"):
        sealed_by.open_as_server(S, [point])
    sealed_for = Envelope(SEALED[:48] + point + SEALED[80:], "FILE")
    with pytest.raises(EnvelopeError, match=f"^{re.escape(ALTERED)}$"):
        sealed_for.open_as_companion(K)
    with pytest.raises(OpenError):
        seal(TEXT, K, point, 1)


@pytest.mark.parametrize("serial", [-1, 0, 2**64])
def test_a_serial_that_cannot_be_is_our_own_mistake(serial: int) -> None:
    with pytest.raises(ValueError, match=r"^a serial is 1 to 2\^64 - 1$"):
        seal(TEXT, K, S.public, serial)


@pytest.mark.parametrize("size", [0, 1, 57, 10_000, 1 << 20])
def test_a_definition_within_its_limit_is_within_the_limit_of_its_file(size: int) -> None:
    sealed = format_armour(seal(bytes(size), K, S.public, 1))
    assert len(sealed.replace(b"\n", b"\r\n")) <= armour_limit(size) < 2 * size + 8192
