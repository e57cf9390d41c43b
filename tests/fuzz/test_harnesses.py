"""Every harness holds for its seeds and for a moment of mutations, so that `make fuzz` finds only what is new."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.harnesses import HARNESSES, Harness


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with some of it cut out, replaced, doubled or joined to another."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 16)))
        filling = st.one_of(st.binary(max_size=16), st.just(data[start:end] * 2), st.sampled_from(seeds))
        data = data[:start] + draw(filling) + data[end:]
    return data


@pytest.mark.parametrize("name", HARNESSES)
def test_a_harness_holds_for_its_seeds(name: str) -> None:
    assert HARNESSES[name].seeds
    for seed in HARNESSES[name].seeds:
        HARNESSES[name].fuzz_one(seed)


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=HARNESSES)
def test_a_harness_holds_for_mutated_seeds(harness: Harness) -> None:
    @settings(max_examples=400, deadline=None)
    @given(mutations(harness.seeds))
    def holds(data: bytes) -> None:
        harness.fuzz_one(data)

    holds()
