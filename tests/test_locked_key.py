"""A key locked with a passphrase: the known files open, and what docs/protocol.md says makes exactly them."""

from __future__ import annotations

import base64
import struct

import pytest
from nacl import bindings

from coffer._core import Keypair
from coffer.errors import KeyFileError
from known import load, open_text

VECTORS = load("locked-key")


def read(line: str, passphrase: bytes) -> Keypair:
    return Keypair.read(open_text(line.encode()), "FILE", lambda: passphrase)


@pytest.mark.parametrize("known", VECTORS["locked"], ids=lambda known: f"{known['memory, KiB']} KiB")
def test_a_known_file_opens_with_its_passphrase_and_no_other(known: dict) -> None:
    passphrase = known["passphrase"].encode()
    assert read(known["key line"], passphrase).public == bytes.fromhex(VECTORS["C"])
    with pytest.raises(KeyFileError, match="the passphrase does not open this key"):
        read(known["key line"], passphrase + b"\n")


@pytest.mark.parametrize("known", VECTORS["locked"], ids=lambda known: f"{known['memory, KiB']} KiB")
def test_another_library_makes_the_same_file_from_the_page(known: dict) -> None:
    passes, kib, salt = known["passes"], known["memory, KiB"], bytes.fromhex(known["salt"])
    key = bindings.crypto_pwhash_alg(
        32, known["passphrase"].encode(), salt, passes, kib * 1024, bindings.crypto_pwhash_ALG_ARGON2ID13
    )
    assert key.hex() == known["key"]
    locked = bindings.crypto_secretbox(bytes.fromhex(VECTORS["c"]), bytes(24), key)
    assert locked.hex() == known["locked"]
    raw = struct.pack(">II", passes, kib) + salt + locked
    assert known["key line"] == f"coffer-locked-key-1:{base64.b64encode(raw).decode()}"
