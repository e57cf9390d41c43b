"""The server's answer to Hello: rotation, the epoch key, and the shared values it keeps; and boxes by themselves."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from coffer._core import Box, ClientChannel, Keypair, Responder, ShardHandle, harden
from coffer.errors import FrameError, OpenError
from coffer.message import Kind
from coffer.protocol import ClientSession
from forging import flip
from known import FRAMES, KEYS, LOW_ORDER, RESPONSE, WIRE, keypair, with_known_salt
from serving import Serving, talk

C = keypair("c")
PR_GET_DUMPABLE = 3
PR_GET_NO_NEW_PRIVS = 39


# boxes


@given(st.binary(max_size=600), st.binary(min_size=24, max_size=24))
def test_a_box_opens_at_the_other_end_and_is_libsodium_s(message: bytes, nonce: bytes) -> None:
    secret = os.urandom(32)
    there, here = bindings.crypto_scalarmult_base(secret), Keypair.generate()
    sealed = Box(here, there).seal(message, nonce)
    assert bindings.crypto_box_open(sealed, nonce, here.public, secret) == message
    assert Box(here, there).open(bindings.crypto_box(message, nonce, here.public, secret), nonce) == message


def test_a_box_of_any_length_is_libsodium_s_to_the_byte() -> None:
    """Every length around the strides in which the core makes the stream, and the longest that a frame can hold."""
    nonce, text = os.urandom(24), os.urandom(65_279)
    box, shared = Box(C, KEYS["S"]), bindings.crypto_box_beforenm(KEYS["S"], KEYS["c"])
    for length in (*range(1700), 4096, 16_384, 65_278, 65_279):
        sealed = box.seal(text[:length], nonce)
        assert sealed == bindings.crypto_box_easy_afternm(text[:length], nonce, shared)
        assert box.open(sealed, nonce) == text[:length]


@pytest.mark.plain
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only an x86_64 has AVX2")
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="qemu-x86_64 is missing: it is in qemu-user")
def test_a_processor_without_avx2_makes_the_same_boxes() -> None:
    """There the stream is made in other strides; that it is libsodium's is what importing the core checks."""
    program = (
        "from coffer._core import Box; from known import KEYS, keypair;"
        "print(Box(keypair('c'), KEYS['S']).seal(bytes(range(256)) * 9, bytes(24)).hex())"
    )
    old = ["qemu-x86_64", "-cpu", "Nehalem", sys.executable, "-c", program]
    done = subprocess.run(old, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Box(C, KEYS["S"]).seal(bytes(range(256)) * 9, bytes(24)).hex()


def test_a_box_that_does_not_open_says_the_same_for_every_reason() -> None:
    box, nonce = Box(C, KEYS["S"]), bytes(24)
    sealed = box.seal(b"message", nonce)
    wrong = [sealed[:-1], sealed + b"\0", sealed[1:], b"", sealed[:15], *(flip(sealed, bit) for bit in range(8 * 23))]
    for each in wrong:
        with pytest.raises(OpenError) as caught:
            box.open(each, nonce)
        assert str(caught.value) == "the box does not open"
    for other in (Box(keypair("e"), KEYS["S"]), Box(C, KEYS["E"])):
        with pytest.raises(OpenError, match=r"^the box does not open$"):
            other.open(sealed, nonce)


def test_what_no_box_can_have_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match=r"^a public key has 32 bytes$"):
        Box(C, bytes(31))
    for size in (0, 23, 25):
        for use in (Box(C, KEYS["S"]).seal, Box(C, KEYS["S"]).open):
            with pytest.raises(ValueError, match=r"^a nonce has 24 bytes$"):
                use(b"", bytes(size))


@pytest.mark.parametrize("name", LOW_ORDER)
def test_no_box_and_no_hello_is_made_with_a_low_order_key(name: str) -> None:
    for make in (Box, ClientChannel):
        with pytest.raises(OpenError, match=r"^a low-order public key$"):
            make(C, LOW_ORDER[name])


# the channel's own order


def hello_to(responder: Responder, client: Keypair = C) -> Any:
    return responder.open_hello(ClientChannel(client, KEYS["S"]).hello[3:])


def test_nothing_is_sealed_or_opened_before_hello_is_answered() -> None:
    serving = Serving(keypair("s"), shards={"web": ([C.public], RESPONSE)})
    channel = hello_to(serving.responder)
    handle = serving.table.find(C.public)
    assert isinstance(handle, ShardHandle)
    early = ClientChannel(C, KEYS["S"])
    for use in (
        lambda: channel.open(Kind.GET, bytes(16)),
        lambda: channel.seal(Kind.ERROR, b"busy"),
        lambda: early.seal(Kind.GET),
        lambda: early.open(Kind.OK_GET, bytes(272)),
    ):
        with pytest.raises(ValueError, match=r"^a session has no keys before Hello is answered$"):
            use()
    with pytest.raises((ValueError, AttributeError)):
        channel.seal_shard(handle)


def test_hello_is_answered_once_with_a_salt_of_24_bytes() -> None:
    responder = Responder((keypair("s"),))
    channel = hello_to(responder)
    with pytest.raises(ValueError, match=r"^Hello is answered once, with a salt of 24 bytes$"):
        channel.answer(Kind.LINK, salt=bytes(23))
    channel.answer(Kind.LINK)
    with pytest.raises(ValueError, match=r"^Hello is answered once, with a salt of 24 bytes$"):
        channel.answer(Kind.LINK)


def test_the_answer_to_hello_is_opened_once() -> None:
    client = ClientChannel(C, KEYS["S"], keypair("e"))
    assert client.open_answer(Kind.LINK, FRAMES["Link"][3:]) == b""
    with pytest.raises(OpenError, match=r"^the box does not open$"):
        client.open_answer(Kind.LINK, FRAMES["Link"][3:])


def test_an_answer_of_any_other_length_does_not_open() -> None:
    for size in (0, 31, 56, 71):
        with pytest.raises(OpenError, match=r"^the box does not open$"):
            ClientChannel(C, KEYS["S"], keypair("e")).open_answer(Kind.LINK, FRAMES["Link"][3 : 3 + size])
    for size in (0, 127, 129):
        with pytest.raises(FrameError, match=r"^Hello: wrong length$"):
            Responder((keypair("s"),)).open_hello(bytes(size))


def ok_get(padded: bytes) -> bytes:
    """Return an OkGet body in the known session, with this for its padded response."""
    down = bytes.fromhex(WIRE["session after"]["Link"]["down"])
    return bindings.crypto_secretbox(padded, bytes([Kind.OK_GET]).ljust(24, b"\0"), down)


@pytest.mark.parametrize(
    "padded", [bytes(256), b"\x80" + bytes(511), b"x" * 256, b"", b"\x80" + bytes(254), b"\x80" + b"\1" * 255]
)
def test_a_padding_that_is_none_does_not_open_even_under_the_right_key(padded: bytes) -> None:
    client = ClientChannel(C, KEYS["S"], keypair("e"))
    client.open_answer(Kind.LINK, FRAMES["Link"][3:])
    assert client.open(Kind.OK_GET, ok_get(b"ab\x80".ljust(256, b"\0"))) == b"ab"
    with pytest.raises(OpenError, match=r"^the box does not open$"):
        client.open(Kind.OK_GET, ok_get(padded))


# rotation


def test_the_session_goes_on_with_the_key_that_opened_the_outer_box() -> None:
    old, new = Keypair.generate(), Keypair.generate()
    serving = Serving(new, old, shards={"web": ([C.public], RESPONSE)})
    for public in (old.public, new.public):
        mine = ClientSession(C, public)
        talk(mine, serving.server())
        assert mine.response == RESPONSE


def test_a_retired_key_opens_nothing() -> None:
    old, new = Keypair.generate(), Keypair.generate()
    session = Serving(new).server()
    assert session.receive(ClientSession(C, old.public).hello) == b""
    assert str(session.fault) == "Hello: the outer box does not open"


@pytest.mark.parametrize("count", [0, 3])
def test_a_server_has_one_key_or_two(count: int) -> None:
    with pytest.raises(ValueError, match=r"^a server has one keypair, or two while its key is rotated$"):
        Responder(tuple(Keypair.generate() for _ in range(count)))


@pytest.mark.parametrize("kept", [0, 3, 65_537, 2**62])
def test_how_many_shared_values_are_kept_is_bounded(kept: int) -> None:
    with pytest.raises(ValueError, match=r"^4 to 65536 shared values are kept$"):
        Responder((C,), kept=kept)


# the epoch


def test_a_new_epoch_has_a_new_key_and_cannot_make_the_old_one_s_answers() -> None:
    responder = Responder((keypair("s"),), epoch=keypair("f"))
    assert responder.epoch == KEYS["F"]
    assert with_known_salt(responder).open_hello(FRAMES["Hello"][3:]).answer(Kind.LINK) == FRAMES["Link"]
    seen = {KEYS["F"]}
    for _ in range(20):
        responder.renew()
        again = with_known_salt(responder).open_hello(FRAMES["Hello"][3:]).answer(Kind.LINK)
        assert again[3:35] == responder.epoch and again[35:59] == KEYS["R"] and again[59:] != FRAMES["Link"][59:]
        seen.add(responder.epoch)
    assert len(seen) == 21


def test_a_session_outlives_the_epoch_it_began_in() -> None:
    serving = Serving(keypair("s"), shards={"web": ([C.public], RESPONSE)})
    mine, theirs = serving.client(C), serving.server()
    get = mine.receive(theirs.receive(mine.hello))
    serving.responder.renew()
    mine.receive(theirs.receive(get))
    assert mine.response == RESPONSE


def test_two_processes_share_no_epoch_key() -> None:
    assert Responder((C,)).epoch != Responder((C,)).epoch


def test_no_two_answers_share_their_salt() -> None:
    responder = Responder((keypair("s"),))
    answers = [responder.open_hello(FRAMES["Hello"][3:]).answer(Kind.LINK) for _ in range(100)]
    assert len({answer[35:59] for answer in answers}) == 100


# life and death


def test_a_session_in_a_circle_of_garbage_is_collected_without_harm() -> None:
    """The collector clears attributes before it frees: a channel that needed one to be wiped crashed here."""
    responder = Responder((keypair("s"),))
    for make in (
        lambda: hello_to(responder),
        lambda: ClientChannel(C, KEYS["S"]),
        lambda: Serving(C),
        lambda: responder,
    ):
        circle = [make()]
        circle.append(circle)  # type: ignore[arg-type]
        del circle
        gc.collect()
    assert hello_to(responder).client == C.public


@pytest.mark.plain  # a sanitizer's malloc is not Python's
@pytest.mark.skipif(not importlib.util.find_spec("_testcapi"), reason="this Python cannot be made to run out of memory")
def test_a_session_that_finds_no_memory_harms_no_other() -> None:
    """Each allocation of a session fails in turn, while a new slab is due; afterwards all is as if it had not been."""
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    failed, survived = map(int, done.stdout.split())
    assert failed >= 2 and survived


SHORT_OF_MEMORY = """
import _testcapi
from coffer._core import ClientChannel, Responder
from known import KEYS, keypair

c, e, responder = keypair("c"), keypair("e"), Responder((keypair("s"),))
made, failed = [ClientChannel(c, KEYS["S"], e) for _ in range(128)], 0
while True:
    _testcapi.set_nomemory(failed, failed + 1)
    try:
        made.append(ClientChannel(c, KEYS["S"], e))
        break
    except MemoryError:
        failed += 1
    finally:
        _testcapi.remove_mem_hooks()
made += [ClientChannel(c, KEYS["S"], e) for _ in range(300)]
doomed, made = made[:200], made[200:]
_testcapi.set_nomemory(0, 0)
doomed.clear()  # giving back takes none
_testcapi.remove_mem_hooks()
print(failed, 1 * all(responder.open_hello(each.hello[3:]).client == KEYS["C"] for each in made))
"""


def test_more_sessions_than_one_slab_holds_at_once_keep_apart() -> None:
    serving = Serving(keypair("s"), shards={"web": ([C.public], RESPONSE)})
    sessions = [(serving.client(C), serving.server()) for _ in range(300)]
    gets = [mine.receive(theirs.receive(mine.hello)) for mine, theirs in sessions]
    for (mine, theirs), get in zip(sessions, gets, strict=True):
        mine.receive(theirs.receive(get))
        assert mine.response == RESPONSE


def test_hardening_takes_effect_in_the_process_that_asks_for_it() -> None:
    child = os.fork()
    if not child:
        harden()
        prctl = ctypes.CDLL(None).prctl
        os._exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) << 1 | (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) ^ 1))
    assert os.waitpid(child, 0)[1] == 0
