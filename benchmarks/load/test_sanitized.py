"""The same programs built with the address and undefined-behaviour sanitizers, given all that is hostile.

A sanitizer ends its program at the first fault, with a report on stderr and another exit code.
"""

import os
from pathlib import Path

import pytest

from peer import deed
from peer.boxes import public
from peer.deeds import DEEDS
from peer.server import Server
from peer.tricks import TRICKS

from .running import Client, Limit, build, load, write_clients
from .test_limit import QUICK_DEEDS, where
from .test_wire import VECTORS, make_frames


@pytest.fixture(scope="module")
def sanitized() -> Path:
    return build("sanitize")


def test_the_vectors(sanitized: Path) -> None:
    assert make_frames(sanitized)["OkGet"] == VECTORS["frames"]["OkGet"]


def test_the_limit_under_every_deed_and_load_under_everything_it_can_do(
    sanitized: Path, tmp_path: Path, key_file: Path, s: bytes, server_id: str, clients: list[Client]
) -> None:
    warm = write_clients(tmp_path / "warm", clients[:4])
    cold = write_clients(tmp_path / "cold", clients[4:])
    both = write_clients(tmp_path / "both", clients)
    options = [
        "--clients", warm, "--sessions", 300, "--rate", 1000, "--retries", 1, "--source", "127.0.0.2-127.0.0.9",
        "--record", tmp_path / "record", "--idle", 20, "--dribble", 5, "--garbage", 500,
        "--bad-inner", 60, "--cold", cold, "--raw", tmp_path / "raw", "--first-failure",
    ]  # fmt: skip
    with Limit(sanitized, key_file, both, "--epoch", 0.01) as limit:
        for name in QUICK_DEEDS:
            c = os.urandom(32) if "unknown" in name else clients[-1].secret
            deed.attempt(DEEDS[name].act, where(limit, s), c, seconds=5.0)
        done = load(sanitized, (limit.address, server_id), *options)
        assert (done.exit_code, done.stderr, done.figures["failures"]) == (0, "", 0)
        assert limit.stop()["sessions"] >= 300
        assert limit.process.returncode == 0


@pytest.mark.parametrize("name", TRICKS)
def test_load_under_every_trick(sanitized: Path, tmp_path: Path, s: bytes, server_id: str, name: str) -> None:
    c = os.urandom(32)
    file = write_clients(tmp_path / "one", [Client(c, [b"\x80"])])
    deadline = 0.5 if TRICKS[name].is_slow else 5
    with Server([s], {public(c): b"\x80"}, TRICKS[name].manner) as server:
        options = ["--clients", file, "--sessions", 3, "--retries", 1, "--deadline", deadline]
        done = load(sanitized, (f"{server.host}:{server.port}", server_id), *options)
    assert (done.figures["sessions"], done.stderr) == (3, "")
    assert done.exit_code == (1 if TRICKS[name].conclusion else 0)
