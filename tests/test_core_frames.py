"""Frames are packed and cut out of a stream by their header alone; digests and base32 say what they may be given."""

from __future__ import annotations

import base64
import hashlib
import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer._core import LIBSODIUM_VERSION, Frames, blake, decode_base32, pack
from coffer.errors import FrameError, IdError, OrderError

ANY = {7: range(0x10000)}


@pytest.mark.parametrize("size", [0, 1, 255, 256, 0xFFFF])
def test_a_frame_is_length_type_and_body(size: int) -> None:
    body = os.urandom(size)
    assert pack(7, body) == size.to_bytes(2, "big") + b"\7" + body


def test_what_no_frame_can_hold_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match=r"^a body has at most 65,535 bytes$"):
        pack(7, bytes(0x10000))
    for kind in (-1, 256):
        with pytest.raises(OverflowError):
            pack(kind, b"")


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 2500), max_size=12))
def test_frames_come_out_as_they_were_packed_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pack(7, body) for body in bodies)
    frames, found = Frames(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in pairwise(edges):
        frames.feed(memoryview(stream)[start:stop])
        while frame := frames.next(ANY):
            found.append(frame)
    assert found == [(7, body) for body in bodies] and len(frames) == 0


def test_the_length_is_what_has_come_and_not_been_taken() -> None:
    frames = Frames()
    assert (len(frames), frames.next(ANY)) == (0, None)
    frames.feed(pack(7, b"abc") + b"\0")
    assert len(frames) == 7
    assert frames.next(ANY) == (7, b"abc")
    assert (len(frames), frames.next(ANY)) == (1, None)


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview], ids=lambda each: each.__name__)
def test_any_contiguous_buffer_can_be_fed_and_used_again(buffer: type) -> None:
    frames, data = Frames(), bytearray(pack(7, b"abc"))
    frames.feed(buffer(data))
    data[:] = bytes(len(data))
    frames.feed(buffer(b""))
    assert frames.next(ANY) == (7, b"abc")


def test_what_is_no_contiguous_buffer_is_our_own_mistake() -> None:
    for data in ("text", None, 3):
        with pytest.raises(TypeError):
            Frames().feed(data)  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        Frames().feed(memoryview(b"abcd")[::2])


def test_a_refusal_needs_the_header_only_and_takes_nothing() -> None:
    frames = Frames()
    frames.feed(b"\0\5")
    assert frames.next({}) is None
    frames.feed(b"\7")
    for _ in range(2):
        with pytest.raises(OrderError, match=r"^a frame of type 0x07 may not come now$"):
            frames.next({})
        with pytest.raises(FrameError, match=r"^a frame of type 0x07 may not have 5 bytes$"):
            frames.next({7: range(4, 5)})
    frames.feed(b"abcde")
    assert frames.next({7: range(5, 6)}) == (7, b"abcde")


@pytest.mark.parametrize("size", [1, 3, 24, 32, 64])
def test_a_digest_is_blake2b_with_the_label_as_person(size: int) -> None:
    for label in (b"", b"id", b"h-inner"):
        known = hashlib.blake2b(b"data", digest_size=size, person=b"coffer/1:" + label).digest()
        assert blake(size, label, b"data") == known


@pytest.mark.parametrize(("size", "label"), [(0, b"id"), (65, b"id"), (2**62, b"id"), (32, b"too long")])
def test_a_digest_that_blake2b_does_not_have_is_our_own_mistake(size: int, label: bytes) -> None:
    with pytest.raises(ValueError, match=r"^a digest has 1 to 64 bytes, a label at most 7$"):
        blake(size, label, b"")


@given(st.binary(max_size=80))
def test_base32_reads_what_the_standard_library_writes(data: bytes) -> None:
    text = base64.b32encode(data).decode().rstrip("=")
    assert decode_base32(text) == decode_base32(text.lower()) == data


@given(st.characters())
def test_base32_has_32_letters_and_refuses_all_others(letter: str) -> None:
    if letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz234567":
        decode_base32(letter)
    else:
        with pytest.raises(IdError) as caught:
            decode_base32("AB" + letter)
        assert str(caught.value) == f"{letter!a} is not a letter of base32 (A to Z and 2 to 7)"


def test_libsodium_is_new_enough_and_says_which() -> None:
    assert tuple(map(int, LIBSODIUM_VERSION.split("."))) >= (1, 0, 18)
