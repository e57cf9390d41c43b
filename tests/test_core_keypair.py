"""A keypair comes out of a key file's text or nowhere, and its secret half goes nowhere else."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import struct
from typing import Any

import pytest
from nacl import bindings

from coffer._core import (
    Box,
    ClientChannel,
    Frames,
    Keypair,
    Locker,
    Responder,
    ServerChannel,
    ShardHandle,
    Table,
    TableWriter,
)
from coffer.errors import KeyFileError
from forging import flip
from known import KEYS, key_text, keypair, open_text, read_keypair

TEXT = b"# coffer key\n# id: anything\n\n" + key_text(KEYS["c"])
LINE = key_text(KEYS["c"]).rstrip(b"\n")
BASE64 = LINE.removeprefix(b"coffer-secret-key-1:")
NOT_BASE64 = "FILE: line 1: the key is not base64 of 32 bytes"
NEITHER = "FILE: line 1: neither a comment nor a key line"
NO_KEY = "FILE: no key line; it begins with coffer-secret-key-1:"


def locked(passes: int, kib: int, passphrase: bytes = b"open sesame") -> bytes:
    """Return the line of a locked key, made with PyNaCl; where it claims more than a little work, none is done."""
    salt = bytes(range(16))
    key = bytes(32)
    if passes in (1, 2) and kib in (8, 16):
        key = bindings.crypto_pwhash_alg(
            32, passphrase, salt, passes, kib * 1024, bindings.crypto_pwhash_ALG_ARGON2ID13
        )
    box = bindings.crypto_secretbox(KEYS["c"], bytes(24), key)
    return b"coffer-locked-key-1:" + base64.b64encode(struct.pack(">II", passes, kib) + salt + box)


REFUSED = {
    "empty": (b"", NO_KEY),
    "blank lines": (b"\n\n\n", NO_KEY),
    "comments only": (b"# coffer key\n", NO_KEY),
    "over 4 KiB": (TEXT.ljust(4097, b"\n"), "FILE: over 4 KiB, which no key file is"),
    "endless": (b"#" * 1_000_000, "FILE: over 4 KiB, which no key file is"),
    "a comment that is not UTF-8": (b"# \xff\n" + TEXT, "FILE: line 1: not UTF-8"),
    "something else": (b"hello\n", NEITHER),
    "not UTF-8": (b"\xff\xfe\n", NEITHER),
    "a space before the key": (b" " + LINE, NEITHER),
    "a line of blanks": (b"  \n" + LINE, NEITHER),
    "another version": (LINE.replace(b"key-1:", b"key-2:"), NEITHER),
    "upper case": (LINE.upper(), NEITHER),
    "a secret without its name": (BASE64, NEITHER),
    "two key lines": (TEXT + LINE, "FILE: line 5: a second key line; a key file has one"),
    "a locked key after it": (
        TEXT + b"coffer-locked-key-1:",
        "FILE: line 5: a second key line; a key file has one",
    ),
    "junk after the key": (TEXT + b"junk", "FILE: line 5: neither a comment nor a key line"),
    "no secret": (b"coffer-secret-key-1:", NOT_BASE64),
    "31 bytes": (key_text(KEYS["c"][:31]), NOT_BASE64),
    "33 bytes": (key_text(KEYS["c"] + b"\0"), NOT_BASE64),
    "no padding": (LINE.rstrip(b"="), NOT_BASE64),
    "too much padding": (LINE + b"=", NOT_BASE64),
    "a carriage return": (LINE + b"\r\n", NOT_BASE64),
    "a blank after it": (LINE + b" ", NOT_BASE64),
    "a NUL in it": (LINE[:30] + b"\0" + LINE[31:], NOT_BASE64),
    "the other alphabet": (b"coffer-secret-key-1:" + b"_" * 43 + b"=", NOT_BASE64),
    "spare bits that are set": (LINE[:-2] + bytes([LINE[-2] + 1]) + b"=", NOT_BASE64),
    "hex": (b"coffer-secret-key-1:" + KEYS["c"].hex().encode(), NOT_BASE64),
    "a locked key of the wrong size": (
        b"coffer-locked-key-1:" + base64.b64encode(bytes(71)),
        "FILE: line 1: the key is not base64 of 72 bytes",
    ),
    "a locked key": (
        locked(1, 8),
        "FILE: line 1: the key is locked with a passphrase, which is not asked for here",
    ),
    **{
        f"a key locked with {passes} passes and {kib} KiB": (
            locked(passes, kib),
            "FILE: line 1: the key is locked with more work than coffer takes on",
        )
        for passes, kib in [(0, 8), (17, 8), (0xFFFFFFFF, 8), (1, 7), (1, 1048577), (1, 0xFFFFFFFF)]
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_file_is_refused_in_these_words(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(KeyFileError) as caught:
        read_keypair(text)
    assert str(caught.value) == words
    assert BASE64.decode()[:8] not in repr(caught.value)


def test_a_file_without_a_key_comes_with_the_way_to_one() -> None:
    with pytest.raises(KeyFileError) as caught:
        read_keypair(b"")
    assert caught.value.hint == "coffer-companion keygen -o FILE makes a key file"


def test_comments_and_blank_lines_stand_anywhere_and_the_last_line_may_lack_its_end() -> None:
    for text in (TEXT, LINE, b"\n#\n" + LINE + b"\n\n# after\n", "# ключ\r\n".encode() + LINE, TEXT.ljust(4096, b"\n")):
        assert read_keypair(text).public == KEYS["C"]


def test_a_key_file_cut_anywhere_is_refused() -> None:
    for length in range(len(TEXT) - 1):
        with pytest.raises(KeyFileError):
            read_keypair(TEXT[:length])


def test_a_key_file_with_a_bit_flipped_is_refused_or_the_key_it_says() -> None:
    for bit in range(8 * len(LINE)):
        text = flip(LINE, bit)
        try:
            other = read_keypair(text)
        except KeyFileError as error:
            assert BASE64.decode()[:8] not in str(error)
        else:
            secret = base64.b64decode(text.removeprefix(b"coffer-secret-key-1:"), validate=True)
            assert other.public == bindings.crypto_scalarmult_base(secret)


def test_a_key_file_can_come_through_a_pipe_in_pieces() -> None:
    reader, writer = os.pipe()
    if not (child := os.fork()):
        for at in range(0, len(TEXT), 7):
            os.write(writer, TEXT[at : at + 7])
        os._exit(0)
    os.close(writer)
    assert Keypair.read(reader, "FILE").public == KEYS["C"]
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0


def test_a_descriptor_that_cannot_be_read_is_named_in_words() -> None:
    with pytest.raises(KeyFileError, match=r"^FILE: Bad file descriptor$"):
        Keypair.read(-1, "FILE")
    directory = os.open("/", os.O_RDONLY)
    with pytest.raises(KeyFileError, match=r"^FILE: Is a directory$"):
        Keypair.read(directory, "FILE")
    os.close(directory)


def read_locked(line: bytes, passphrase: bytes) -> Keypair:
    fd = open_text(line)
    try:
        return Keypair.read(fd, "FILE", lambda: passphrase)
    finally:
        os.close(fd)


@pytest.mark.parametrize(("passes", "kib"), [(1, 8), (2, 8), (1, 16)])
def test_a_locked_key_opens_with_its_passphrase_only(passes: int, kib: int) -> None:
    line = locked(passes, kib)
    assert read_locked(line, b"open sesame").public == KEYS["C"]
    for wrong in (b"", b"open sesam", b"open sesame\0"):
        with pytest.raises(KeyFileError, match=r"^FILE: line 1: the passphrase does not open this key$"):
            read_locked(line, wrong)


def test_what_is_asked_for_must_be_bytes() -> None:
    fd = open_text(locked(1, 8))
    for answer in ("text", None):
        os.lseek(fd, 0, os.SEEK_SET)
        with pytest.raises(TypeError):
            Keypair.read(fd, "FILE", lambda answer=answer: answer)
    os.close(fd)


def written(keypair: Keypair, passphrase: bytes | None = None) -> bytes:
    fd = os.memfd_create("key")
    try:
        keypair.write(fd, passphrase)
        os.lseek(fd, 0, os.SEEK_SET)
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def test_a_key_is_written_as_it_is_read() -> None:
    assert written(keypair("c")) == key_text(KEYS["c"])
    made = Keypair.generate()
    assert read_keypair(written(made)).public == made.public


def test_a_key_written_with_a_passphrase_is_locked_with_256_mib_and_a_salt_of_its_own() -> None:
    line = written(keypair("c"), b"open sesame")
    raw = base64.b64decode(line.removeprefix(b"coffer-locked-key-1:"))
    assert struct.unpack(">II", raw[:8]) == (3, 262144) and KEYS["c"] not in raw
    assert read_locked(line, b"open sesame").public == KEYS["C"]
    assert written(keypair("c"), b"open sesame") != line


def test_what_cannot_be_written_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r"Bad file descriptor$"):
        keypair("c").write(-1)


def test_two_made_keypairs_differ() -> None:
    assert Keypair.generate().public != Keypair.generate().public


def test_a_keypair_shows_nothing() -> None:
    made = keypair("c")
    assert repr(made) == str(made) == f"{made}" == "<Keypair>"
    assert [name for name in dir(made) if not name.startswith("__")] == [
        "generate",
        "public",
        "read",
        "relock",
        "write",
    ]
    assert made.public == KEYS["C"] and type(made.public) is bytes
    with pytest.raises(AttributeError):
        made.public = bytes(32)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        made.secret = bytes(32)  # type: ignore[attr-defined]


def test_keypairs_are_not_compared_and_not_hashed() -> None:
    one, other = keypair("c"), keypair("c")
    for compare in (lambda: one == other, lambda: one != other, lambda: one == b"", lambda: one < other):  # type: ignore[operator]
        with pytest.raises(TypeError):
            compare()
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def holders() -> list[object]:
    made, locker = keypair("c"), Locker()
    writer = TableWriter(locker, 1)
    writer.add("web", [made.public], b"\x80")
    fd = os.memfd_create("table")
    writer.write(fd)
    table = Table(fd, locker)
    responder, client = Responder((made,)), ClientChannel(made, made.public)
    channel = responder.open_hello(client.hello[3:])
    handle = table.find(made.public)
    os.close(fd)
    return [made, locker, writer, table, handle, responder, client, channel, Box(made, made.public), Frames()]


@pytest.mark.parametrize("holder", holders(), ids=lambda each: type(each).__name__)
def test_nothing_that_holds_a_secret_is_pickled_copied_or_shown(holder: object) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(holder, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            duplicate(holder)
    name = type(holder).__name__
    assert repr(holder) == "<Keypair>" or repr(holder).startswith(f"<coffer._core.{name} object at 0x")
    with pytest.raises(TypeError):
        memoryview(holder)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [type(each) for each in holders()], ids=lambda each: each.__name__)
def test_no_class_of_the_core_can_be_extended(kind: Any) -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (kind,), {})


@pytest.mark.parametrize(
    "kind", [Keypair, Box, ClientChannel, ServerChannel, Responder, TableWriter, Table, ShardHandle]
)
def test_nothing_can_be_made_past_its_constructor(kind: Any) -> None:
    with pytest.raises(TypeError):
        kind()
    try:
        bare = kind.__new__(kind)
    except TypeError:
        return
    for use in (lambda: bare.relock(), lambda: bare.write(1), lambda: bare.name, lambda: Box(bare, bytes(32))):
        with pytest.raises((AttributeError, TypeError)):
            use()
