"""Fetches on connections of their own, sixteen at once: from coffer, and from what people would pick instead.

These are the rates of one run each; what a fetch costs the servers, side by side, is measured by ``make measure``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.measure.authority import Authority
from benchmarks.measure.peers import CLIENT, FETCHES, PEERS, WIDTH, Peer, build_client
from benchmarks.measure.place import Place
from benchmarks.measure.servers import coffer, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if not build_client():
        pytest.skip("OpenSSL's headers are missing: install libssl-dev (Debian)")
    made = Authority(tmp_path_factory.mktemp("peers"))
    made.folder.chmod(0o755)
    made.issue(CLIENT)
    return made


@pytest.mark.benchmark(group=Peer.asked)
def test_fetches_from_coffer(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    place = Place(tmp_path, WIDTH)
    with coffer(place) as server:
        told = benchmark.pedantic(load, (server, place, FETCHES, WIDTH), rounds=5, warmup_rounds=1)
    assert told["failures"] == 0


@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)
def test_fetches_from_a_peer(benchmark: BenchmarkFixture, authority: Authority, kind: type[Peer]) -> None:
    for program in kind.needs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    benchmark.group = kind.asked
    with kind(authority) as peer:
        told = benchmark.pedantic(peer.fetch_fresh, rounds=5, warmup_rounds=1)
    assert told["cpu_us"] > 0
