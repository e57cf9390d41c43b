"""coffer.aio: the same fetch under asyncio, from the same servers, with the same conclusions."""

from __future__ import annotations

import asyncio
import time

import pytest

import coffer
from coffer import aio
from coffer.errors import CofferError, CutError, NoAnswerError, PeerError, RefusedError, UnreachableError
from peer import trick
from peer.fault import Fault, Refused, Unanswered
from peer.server import Conversation
from peer.tricks import TRICKS

from .conftest import VALUES, address_of, serving
from .test_fetch import ANSWER_BYTES, LINK_BYTES, PASSING

CLASSES: dict[object, type[CofferError]] = {Unanswered: NoAnswerError, Fault: PeerError, Refused: RefusedError}


def error_of(*arguments: object, **options: object) -> CofferError:
    with pytest.raises(CofferError) as caught:
        asyncio.run(aio.fetch(*arguments, **options))  # type: ignore[arg-type]
    return caught.value


def test_a_shard_arrives_as_it_does_without_asyncio(key: str) -> None:
    with serving() as server:
        assert asyncio.run(coffer.aio.fetch(address_of(server), key)) == coffer.fetch(address_of(server), key)
    assert server.outcomes == {"done": 2}


def test_the_loop_goes_on_while_a_fetch_waits(key: str) -> None:
    async def main(address: str) -> int:
        ticks = 0
        fetching = asyncio.create_task(aio.fetch(address, key))
        while not fetching.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert await fetching == VALUES
        return ticks

    with serving(trick.dribble(0.001)) as server:
        assert asyncio.run(main(address_of(server))) > 10


def test_many_fetches_run_side_by_side(key: str) -> None:
    async def main(address: str) -> list[coffer.Shard]:
        return await asyncio.gather(*(aio.fetch(address, key) for _ in range(20)))

    with serving() as server:
        assert asyncio.run(main(address_of(server))) == [VALUES] * 20


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_ends_under_asyncio_as_it_does_without(name: str, key: str) -> None:
    known = TRICKS[name]
    tries: list[None] = []

    def manner(talk: Conversation) -> None:
        tries.append(None)
        known.manner(talk)

    with serving(manner) as server:
        timeout = 0.3 if known.is_slow else 5
        if known.conclusion is None:
            assert asyncio.run(aio.fetch(address_of(server), key)) == VALUES
        else:
            expected = CLASSES[known.conclusion]
            assert isinstance(error_of(address_of(server), key, timeout=timeout, retries=1), expected)
    assert len(tries) == (2 if name in PASSING else 1)


def test_a_cut_anywhere_is_an_error_and_never_half_a_shard(key: str) -> None:
    offsets: list[int] = []

    def manner(talk: Conversation) -> None:
        trick.cut(offsets[0])(talk)

    with serving(manner) as server:
        for offset in [*range(0, ANSWER_BYTES, 13), LINK_BYTES - 1, LINK_BYTES, ANSWER_BYTES - 1]:
            offsets[:] = [offset]
            error = error_of(address_of(server), key, retries=0)
            assert type(error) is (NoAnswerError if offset < LINK_BYTES else CutError)


def test_the_next_server_is_asked_at_once(key: str) -> None:
    with serving() as down:
        pass
    with serving() as server:
        start = time.monotonic()
        assert asyncio.run(aio.fetch([address_of(down), address_of(server)], key)) == VALUES
        assert time.monotonic() - start < 2


def test_a_server_that_is_down_or_unknown_is_named(key: str) -> None:
    with serving() as down:
        pass
    for host in ("127.0.0.1", "no-such-host.invalid"):
        error = error_of(address_of(down, host), key, retries=0)
        assert type(error) is UnreachableError
        assert str(error).startswith(f"{host}:{down.port}: ")


def test_a_cancelled_fetch_leaves_nothing_behind(key: str) -> None:
    async def main(address: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await aio.fetch(address, key)

    with serving(TRICKS["silence"].manner) as server:
        asyncio.run(main(address_of(server)))  # a warning about an open transport would be an error here
