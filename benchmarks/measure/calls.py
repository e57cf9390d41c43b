"""Single calls: frames beside struct, boxes beside PyNaCl and beside libsodium in C, start-up beside bare Python."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median

from nacl.bindings import crypto_box_easy_afternm, crypto_box_open_easy_afternm
from nacl.public import Box as NaClBox
from nacl.public import PrivateKey, PublicKey

from benchmarks.measure.report import Row
from benchmarks.measure.side_by_side import interleave, ratio, seconds_a_call
from coffer._core import Box, Frames, Keypair, pack

RAW = Path(__file__).parents[1] / "raw" / "build" / "boxes"
ROUNDS = 41
CALLS = 2000
FRAMES = 100


def frames() -> list[Row]:
    """Cutting a stream of 100 Gets into frames: our parser beside struct and slicing that check the same."""
    stream = pack(0x02, bytes(16)) * FRAMES
    given = interleave(
        {
            "coffer": seconds_a_call(lambda: parse_with_coffer(stream), 200),
            "struct": seconds_a_call(lambda: parse_with_struct(stream), 200),
        },
        ROUNDS,
    )
    return [
        Row(
            "frame parse, times faster than struct and slicing",
            1 / ratio(given, "coffer", "struct"),
            2.0,
            least=True,
            detail=f"{median(given['coffer']) / FRAMES * 1e9:.0f} ns a frame",
        )
    ]


ALLOWED = {0x02: range(16, 17), 0x99: range(48, 49)}
HEADER = struct.Struct(">HB")


def parse_with_coffer(stream: bytes) -> int:
    parser = Frames()
    parser.feed(stream)
    count = 0
    while parser.next(ALLOWED) is not None:
        count += 1
    return count


def parse_with_struct(stream: bytes) -> int:
    """What the same takes in Python: the length and type are checked before the body is cut out."""
    at = count = 0
    while len(stream) - at >= HEADER.size:
        length, kind = HEADER.unpack_from(stream, at)
        allowed = ALLOWED.get(kind)
        if allowed is None:
            raise ValueError("a frame that may not come now")
        if length not in allowed:
            raise ValueError("a length that may not be")
        end = at + HEADER.size + length
        if len(stream) < end:
            break
        frame = kind, stream[at + HEADER.size : end]
        at = end
        count += len(frame) > 0
    return count


def boxes() -> list[Row]:
    """Seal and open with the nonce given, beside PyNaCl's Box and beside the same calls made from C."""
    rows = []
    for size, against_nacl, against_raw in ((0, None, 2.0), (64, 4.0, None), (1024, 1.8, 1.15)):
        given = interleave({**_ours(size), **_nacl(size), **_raw(size)}, ROUNDS)
        for verb in ("seal", "open"):
            times = ratio(given, f"nacl {verb}", f"coffer {verb}")
            raw = ratio(given, f"coffer {verb}", f"raw {verb}")
            detail = f"{median(given[f'coffer {verb}']) * 1e9:.0f} ns"
            rows.append(
                Row(f"{verb} {size} bytes, times faster than PyNaCl", times, against_nacl, least=True, detail=detail)
            )
            rows.append(Row(f"{verb} {size} bytes, beside libsodium from C", raw, against_raw, detail=detail))
    return rows


def _ours(size: int) -> dict[str, object]:
    message, nonce = os.urandom(size), os.urandom(24)
    box = Box(Keypair.generate(), Keypair.generate().public)
    sealed = box.seal(message, nonce)
    return {
        "coffer seal": seconds_a_call(partial(box.seal, message, nonce), CALLS),
        "coffer open": seconds_a_call(partial(box.open, sealed, nonce), CALLS),
    }


def _nacl(size: int) -> dict[str, object]:
    message, nonce = os.urandom(size), os.urandom(24)
    box = NaClBox(PrivateKey.generate(), PublicKey(bytes(PrivateKey.generate().public_key)))
    sealed = box.encrypt(message, nonce).ciphertext
    return {
        "nacl seal": seconds_a_call(partial(box.encrypt, message, nonce), CALLS),
        "nacl open": seconds_a_call(partial(box.decrypt, sealed, nonce), CALLS),
    }


def _raw(size: int) -> dict[str, object]:
    def run(which: int) -> float:
        done = subprocess.run([RAW, str(size), str(CALLS)], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[which]) / 1e9

    return {"raw seal": lambda: run(0), "raw open": lambda: run(1)}


def bindings() -> list[Row]:
    """PyNaCl's thin bindings, for fairness: the least that PyNaCl can take."""
    message, nonce, key = os.urandom(64), os.urandom(24), os.urandom(32)
    sealed = crypto_box_easy_afternm(message, nonce, key)
    given = interleave(
        {
            **_ours(64),
            "nacl seal": seconds_a_call(partial(crypto_box_easy_afternm, message, nonce, key), CALLS),
            "nacl open": seconds_a_call(partial(crypto_box_open_easy_afternm, sealed, nonce, key), CALLS),
        },
        ROUNDS,
    )
    return [
        Row(
            f"{verb} 64 bytes, times faster than PyNaCl's bare bindings",
            ratio(given, f"nacl {verb}", f"coffer {verb}"),
            None,
            least=True,
        )
        for verb in ("seal", "open")
    ]


def start_up(address: str, client_key: Path) -> list[Row]:
    """``coffer-client run -- true`` against a local server, beside bare Python, as whole processes."""
    client = [
        Path(sys.executable).parent / "coffer-client",
        "run",
        "--server",
        address,
        "--key",
        client_key,
        "--",
        "true",
    ]
    bare = [sys.executable, "-I", "-c", "pass"]

    def whole(command: list[object]) -> float:
        return seconds_a_call(lambda: subprocess.run([str(word) for word in command], check=True), 1)()

    given = interleave({"run": lambda: whole(client), "bare": lambda: whole(list(bare))}, ROUNDS)
    more = median(a - b for a, b in zip(given["run"], given["bare"], strict=True))
    return [
        Row(
            "coffer-client run -- true, ms over bare Python",
            more * 1000,
            25.0,
            detail=f"bare Python {median(given['bare']) * 1000:.1f} ms",
        )
    ]
