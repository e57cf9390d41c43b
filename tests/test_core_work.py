"""How many X25519 a Hello costs the server: two at most more than silence needs, and the same for whoever asks.

The count is taken in a child in which a preloaded library stands before libsodium.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def count(act: Callable[[], object]) -> int:
    """Return how many X25519 ``act`` makes. Works in the child only."""
    import ctypes

    calls = ctypes.c_int.in_dll(ctypes.CDLL(None), "x25519_calls")
    before = calls.value
    act()
    return calls.value - before


def measure() -> dict[str, list[int]]:
    """In the child: the count for each Hello of each story."""
    from coffer._core import Keypair, Responder
    from coffer.protocol import ServerSession
    from forging import hello
    from serving import Serving

    known, other, stranger = (Keypair.generate() for _ in range(3))
    E = Keypair.generate()

    def serve(*keypairs: Keypair, kept: int = 65536) -> Serving:
        serving = Serving(*keypairs, shards={"a": ([known.public], b"\x80"), "b": ([other.public], b"\x80")})
        serving.responder = Responder(serving.keypairs, kept=kept)
        return serving

    def visit(serving: Serving, client: Keypair, refusal: bytes | None = None, **forged: bytes) -> int:
        session: ServerSession = serving.server(refusal)
        frame = hello(serving.public, E, client, **forged)
        return count(lambda: session.receive(frame))

    def visit_as(serving: Serving, public: bytes, client: Keypair) -> int:
        frame = hello(public, E, client)
        session = serving.server()
        return count(lambda: session.receive(frame))

    def crowd(size: int) -> list[int]:
        clients = [Keypair.generate() for _ in range(size)]
        serving = Serving(shards={f"c{n}": ([each.public], b"\x80") for n, each in enumerate(clients)})
        serving.responder = Responder(serving.keypairs, kept=4)
        first = [visit(serving, each) for each in clients]
        again = [visit(serving, each) for each in reversed(clients)]
        return [*first, *again]

    bad = {"inner": bytes(48)}
    warm, cold, refusing, old, new = serve(), serve(), serve(), Keypair.generate(), Keypair.generate()
    rotating = serve(new, old)
    return {
        "a known client": [visit(warm, known), visit(warm, known), visit(warm, known)],
        "an unknown client": [visit(warm, stranger) for _ in range(3)],
        "a known client told Error": [visit(refusing, known, b"busy") for _ in range(3)],
        "wrong inner box, known and kept": [visit(warm, known, **bad) for _ in range(3)],
        "wrong inner box, known and not kept": [visit(cold, other, **bad) for _ in range(3)],
        "wrong inner box, unknown": [visit(warm, stranger, **bad) for _ in range(3)],
        "wrong outer box": [visit_as(warm, stranger.public, known)],
        "wrong outer box, two keys": [visit_as(rotating, stranger.public, known)],
        "rotating, the new key": [visit_as(rotating, new.public, known) for _ in range(2)],
        "rotating, the old key": [visit_as(rotating, old.public, known) for _ in range(2)],
        "five clients, four kept": crowd(5),
    }


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    library = tmp_path_factory.mktemp("counting") / "counting.so"
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, HERE / "counting.c", "-Wl,--no-as-needed", "-lsodium", "-ldl"],
        check=True,
    )
    preload = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))
    environment = {**os.environ, "LD_PRELOAD": preload}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_known_client_costs_two_once_its_shared_value_is_kept(counted: dict[str, list[int]]) -> None:
    assert counted["a known client"] == [3, 2, 2]


def test_a_shared_value_is_kept_after_link_only(counted: dict[str, list[int]]) -> None:
    assert counted["an unknown client"] == [3, 3, 3]
    assert counted["a known client told Error"] == [3, 3, 3]


def test_a_wrong_inner_box_costs_the_same_whoever_it_names(counted: dict[str, list[int]]) -> None:
    """dh(S,e), and dh(C,s) exactly once: kept or not, known or not."""
    for name in ("known and kept", "known and not kept", "unknown"):
        assert counted[f"wrong inner box, {name}"] == [2, 2, 2]


def test_an_outer_box_costs_one_for_each_key_that_is_tried(counted: dict[str, list[int]]) -> None:
    assert counted["wrong outer box"] == [1]
    assert counted["wrong outer box, two keys"] == [2]


def test_what_is_kept_is_kept_for_each_server_key_apart(counted: dict[str, list[int]]) -> None:
    assert counted["rotating, the new key"] == [3, 2]
    assert counted["rotating, the old key"] == [4, 3]


def test_when_all_places_are_taken_one_gives_way_and_comes_back_at_full_cost(counted: dict[str, list[int]]) -> None:
    first, again = counted["five clients, four kept"][:5], counted["five clients, four kept"][5:]
    assert first == [3, 3, 3, 3, 3]
    assert again == [2, 2, 2, 2, 3]


if __name__ == "__main__":
    print(json.dumps(measure()))
