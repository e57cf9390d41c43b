"""The words of the protocol page as functions: dh, box, blake, pad.

Nothing here knows a message. Every failure is a Fault: a low-order point, a box that does not open, a
padding that is none.
"""

from hashlib import blake2b

from nacl import bindings, exceptions

from .fault import Fault

BLOCK = 256


def public(secret: bytes) -> bytes:
    """Return the public key that belongs to ``secret``."""
    return bindings.crypto_scalarmult_base(secret)


def dh(their_public: bytes, my_secret: bytes) -> bytes:
    try:
        return bindings.crypto_box_beforenm(their_public, my_secret)
    except exceptions.RuntimeError:
        raise Fault("a low-order point") from None


def box(key: bytes, nonce: bytes, message: bytes) -> bytes:
    return bindings.crypto_box_easy_afternm(message, nonce, key)


def unbox(key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    try:
        return bindings.crypto_box_open_easy_afternm(sealed, nonce, key)
    except (exceptions.CryptoError, exceptions.TypeError):
        raise Fault("a box that does not open") from None


def blake(size: int, label: str, data: bytes, key: bytes = b"") -> bytes:
    """BLAKE2b with ``size`` in its parameter block; hashlib pads the personal string with zeros itself."""
    return blake2b(data, digest_size=size, key=key, person=b"coffer/1:" + label.encode()).digest()


def pad(message: bytes) -> bytes:
    return bindings.sodium_pad(message, BLOCK)


def unpad(padded: bytes) -> bytes:
    """Return what ``pad`` was given. The 0x80 stands in the last block, or there would be fewer."""
    message = padded.rstrip(b"\0")
    if not message.endswith(b"\x80") or len(padded) % BLOCK or len(padded) - len(message) >= BLOCK:
        raise Fault("a padding that is none")
    return message[:-1]
