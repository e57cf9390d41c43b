"""Frames and boxes through their Python calls, beside what one would use instead."""

from __future__ import annotations

import os

import pytest
from nacl.public import Box as NaClBox
from nacl.public import PrivateKey

from benchmarks.measure.calls import FRAMES, parse_with_coffer, parse_with_struct
from coffer._core import Box, Keypair, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = (0, 64, 1024, 65_279)
NONCE = bytes(range(24))


@pytest.mark.benchmark(group="100 frames")
@pytest.mark.parametrize("parse", [parse_with_coffer, parse_with_struct])
def test_frames(benchmark: BenchmarkFixture, parse: object) -> None:
    assert benchmark(parse, pack(0x02, bytes(16)) * FRAMES) == FRAMES


@pytest.mark.benchmark(group="seal")
@pytest.mark.parametrize("size", SIZES)
def test_seal(benchmark: BenchmarkFixture, size: int) -> None:
    box = Box(Keypair.generate(), Keypair.generate().public)
    assert len(benchmark(box.seal, os.urandom(size), NONCE)) == size + 16


@pytest.mark.benchmark(group="seal")
@pytest.mark.parametrize("size", SIZES)
def test_seal_with_pynacl(benchmark: BenchmarkFixture, size: int) -> None:
    box = NaClBox(PrivateKey.generate(), PrivateKey.generate().public_key)
    assert len(benchmark(box.encrypt, os.urandom(size), NONCE).ciphertext) == size + 16


@pytest.mark.benchmark(group="open")
@pytest.mark.parametrize("size", SIZES)
def test_open(benchmark: BenchmarkFixture, size: int) -> None:
    box, message = Box(Keypair.generate(), Keypair.generate().public), os.urandom(size)
    assert benchmark(box.open, box.seal(message, NONCE), NONCE) == message


@pytest.mark.benchmark(group="open")
@pytest.mark.parametrize("size", SIZES)
def test_open_with_pynacl(benchmark: BenchmarkFixture, size: int) -> None:
    box, message = NaClBox(PrivateKey.generate(), PrivateKey.generate().public_key), os.urandom(size)
    assert benchmark(box.decrypt, box.encrypt(message, NONCE).ciphertext, NONCE) == message
