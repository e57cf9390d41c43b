"""An id is read in any case and spacing, refused for the first reason that applies, and written in one way."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings, exceptions

from coffer._core import Box, Keypair, blake
from coffer.errors import IdError, OpenError
from coffer.identity import ALPHABET, FIELD_PRIME, LOW_ORDER, format_id, parse_id
from known import LOW_ORDER as POINTS
from known import PRIME, keypair

ID = format_id(keypair("c").public)
CHECKSUM = "wrong checksum: a letter of the id is mistyped"
NON_CANONICAL = "a non-canonical key: no coffer program makes such an id"
LOW = "a low-order key: no coffer program makes such an id"


def refusal(text: str) -> str:
    with pytest.raises(IdError) as caught:
        parse_id(text)
    return str(caught.value)


def not_a_letter(letter: str) -> str:
    return f"{letter!a} is not a letter of base32 (A to Z and 2 to 7)"


@given(st.binary(min_size=32, max_size=32).map(lambda raw: raw[:31] + bytes([raw[31] & 0x3F])), st.randoms())
def test_an_id_comes_back_as_the_key_in_any_case_and_spacing(public: bytes, random: object) -> None:
    if public in POINTS.values():
        return
    text = format_id(public)
    assert parse_id(text) == public
    assert len(text) == 69 and [len(group) for group in text.split("-")] == [4] * 14
    assert base64.b32decode(text.replace("-", "")) == public + blake(3, b"id", public)
    spaced = "".join(random.choice([letter, letter.lower()]) + random.choice(["", " ", "-", "- "]) for letter in text)  # type: ignore[attr-defined]
    assert parse_id(spaced) == public


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "an id has 56 letters, this has 0"),
        (" - ", "an id has 56 letters, this has 0"),
        (ID + "A", "an id has 56 letters, this has 57"),
        (ID * 2, "an id has 56 letters, this has 112"),
        ("A" * 56, CHECKSUM),
        (ID + "\n", not_a_letter("\n")),
        ("\t" + ID, not_a_letter("\t")),
        (ID.replace("-", "\u2013"), not_a_letter("\u2013")),
        (ID.replace("-", "\u00a0"), not_a_letter("\u00a0")),
        (ID.replace("-", "_"), not_a_letter("_")),
        ("0" + ID[1:], not_a_letter("0")),
        ("\u212a" + ID[1:], not_a_letter("\u212a")),
        (ID + "=", not_a_letter("=")),
        ("coffer://" + ID, not_a_letter(":")),
        ("\x1b[2J" + ID, not_a_letter("\x1b")),
    ],
)
def test_a_text_that_is_no_id_is_refused_in_these_words(text: str, reason: str) -> None:
    assert refusal(text) == reason


def test_the_first_reason_that_applies_is_given() -> None:
    assert refusal("1") == not_a_letter("1"), "before the length"
    assert refusal(ID[:-1]) == "an id has 56 letters, this has 55", "before the checksum"
    wrong = format_id(PRIME.to_bytes(32, "little"))
    assert refusal(wrong[:-1] + ("A" if wrong[-1] != "A" else "B")) == CHECKSUM, "before the key itself"
    assert refusal(wrong) == NON_CANONICAL, "before the low order, which p has too"


@pytest.mark.parametrize("position", range(len(ID)))
def test_no_id_with_a_letter_mistyped_is_taken(position: int) -> None:
    if ID[position] != "-":
        for letter in set(ALPHABET) - {ID[position]}:
            assert refusal(ID[:position] + letter + ID[position + 1 :]) == CHECKSUM


@pytest.mark.parametrize("number", [PRIME, PRIME + 1, PRIME + 18, 2**255 - 1, 2**255, 2**255 + 9, 2**256 - 1])
def test_a_key_that_is_not_below_the_prime_is_non_canonical(number: int) -> None:
    assert FIELD_PRIME == PRIME
    assert refusal(format_id(number.to_bytes(32, "little"))) == NON_CANONICAL


@pytest.mark.parametrize("name", POINTS)
def test_a_key_with_which_x25519_gives_zero_is_low_order(name: str) -> None:
    point = POINTS[name]
    assert refusal(format_id(point)) == LOW
    with pytest.raises(exceptions.RuntimeError):
        bindings.crypto_scalarmult(bytes(31) + b"\1", point)
    with pytest.raises(OpenError):
        Box(Keypair.generate(), point)


def test_the_low_order_keys_are_all_there_are() -> None:
    """A point of order 2, 4 or 8 on curve25519 or its twist doubles, in three steps, to zero or infinity."""
    assert frozenset(POINTS.values()) == LOW_ORDER
    found = {0} | {root for number in (0, 1, PRIME - 1) for root in halves(number)}
    assert {number.to_bytes(32, "little") for number in found} == LOW_ORDER


def halves(u: int) -> set[int]:
    """Return every x-coordinate that doubles to ``u`` on the curve or its twist: (x^2-1)^2 = 4ux(x^2+Ax+1).

    For u of 0, 1 and -1 the quartic is a square or splits in two quadratics; their roots are taken mod p.
    """
    a = 486662
    if u == 0:
        return {1, PRIME - 1}
    # x^4 - 4u x^3 - (2 + 4uA) x^2 - 4u x + 1 is palindromic: with y = x + 1/x, y^2 - 4u y - (4 + 4uA) = 0.
    found = set()
    for half in roots(4 * u * u + 4 + 4 * u * a):
        y = (2 * u + half) % PRIME
        for other in roots(y * y - 4):
            found.add((y + other) * pow(2, -1, PRIME) % PRIME)
    return found


def roots(square: int) -> set[int]:
    square %= PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    for each in (root, root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME):
        if each * each % PRIME == square:
            return {each, -each % PRIME}
    return set()
