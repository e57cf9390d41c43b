"""The client's cache: its bytes, when it stands in for an answer, and when it must not."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import coffer
import known
from coffer import Client
from coffer.client import cache
from coffer.client.cache import format_age, seal, unseal
from coffer.errors import CofferError, OperatorError
from coffer.identity import load_keypair
from peer.boxes import blake, dh, public, unbox
from peer.identity import format_id, save_key
from peer.tricks import TRICKS

from .conftest import CLIENT_ID, SERVER_SECRET, VALUES, address_of, serving

VECTOR = known.load("cache")
SECRET, SERVER, SALT = (bytes.fromhex(VECTOR[name]) for name in ("c", "S", "salt"))
RESPONSE, SEALED = bytes.fromhex(VECTOR["response"]), bytes.fromhex(VECTOR["sealed"])
SAVED_AT = VECTOR["saved at, Unix seconds"]

ClientOf = Callable[..., Client]


@pytest.fixture
def vector_keypair(tmp_path: Path):
    save_key(tmp_path / "vector.key", SECRET)
    return load_keypair(str(tmp_path / "vector.key"))


# ---- the bytes


def test_a_cache_is_sealed_to_the_known_bytes_and_opens(vector_keypair) -> None:
    assert seal(RESPONSE, vector_keypair, SERVER, SAVED_AT, salt=SALT) == SEALED
    assert unseal(SEALED, "FILE", vector_keypair, [SERVER]) == (RESPONSE, SAVED_AT)


def test_the_second_implementation_opens_the_known_bytes() -> None:
    header, box = SEALED[:104], SEALED[104:]
    assert header == b"COFFERC1" + SAVED_AT.to_bytes(8, "big") + SERVER + public(SECRET) + SALT
    assert unbox(dh(public(SECRET), SECRET), blake(24, "cache", header), box) == RESPONSE


def test_no_two_caches_share_a_nonce(vector_keypair) -> None:
    salts = {seal(RESPONSE, vector_keypair, SERVER, SAVED_AT)[80:104] for _ in range(50)}
    assert len(salts) == 50


def test_every_altered_bit_and_every_cut_is_refused(vector_keypair) -> None:
    for bit in range(8 * len(SEALED)):
        altered = bytearray(SEALED)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(OperatorError):
            unseal(bytes(altered), "FILE", vector_keypair, [SERVER])
    for length in range(len(SEALED)):
        with pytest.raises(OperatorError):
            unseal(SEALED[:length], "FILE", vector_keypair, [SERVER])


def test_what_is_refused_is_refused_with_its_reason(vector_keypair, key: str) -> None:
    def refusal(sealed: bytes, keypair=vector_keypair, servers=(SERVER,)) -> str:
        with pytest.raises(OperatorError) as caught:
            unseal(sealed, "FILE", keypair, servers)
        return str(caught.value)

    vector_id, other = format_id(public(SECRET)), load_keypair(key)
    assert refusal(b"") == refusal(b"COFFERD1" + SEALED[8:]) == "FILE: not a cache of this version of coffer-client"
    assert refusal(SEALED, keypair=other) == f"FILE: it belongs to client {vector_id}, which is not this key"
    assert refusal(SEALED, servers=[b"x" * 32]) == (
        f"FILE: it comes from server {format_id(SERVER)}, which nobody named"
    )
    assert refusal(SEALED[:-1] + b"x") == "FILE: altered or damaged: it does not open"


# ---- when it stands in


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def cached(client_of: ClientOf, tmp_path: Path, told: list[str]) -> ClientOf:
    """Make a client that keeps its shard in ``web.cache`` and tells what it must."""

    def cached(*servers: object, **options: object) -> Client:
        options = {"cache": tmp_path / "web.cache", "tell": told.append, "retries": 0} | options
        return client_of(*servers, **options)

    return cached


def error_of(client: Client) -> CofferError:
    with pytest.raises(CofferError) as caught:
        client.fetch()
    return caught.value


def age(path: Path, seconds: int) -> None:
    """Make the cache that much older, by sealing it anew."""
    keypair = load_keypair(str(path.parent / "web.key"))
    response, saved_at = unseal(path.read_bytes(), "", keypair, [public(SERVER_SECRET)])
    path.write_bytes(seal(response, keypair, public(SERVER_SECRET), saved_at - seconds))


def test_the_last_shard_is_used_when_nobody_answers_and_its_age_said(
    cached: ClientOf, told: list[str], tmp_path: Path
) -> None:
    with serving() as server:
        assert cached(server).fetch() == VALUES
    assert told == []
    age(tmp_path / "web.cache", 3 * 3600)
    assert cached(server).fetch() == VALUES
    assert told == [
        f"127.0.0.1:{server.port}: Connection refused: going on with {tmp_path}/web.cache, which is 3 h old"
    ]


def test_the_cache_is_private_and_shows_nothing(cached: ClientOf, tmp_path: Path) -> None:
    with serving() as server:
        cached(server).fetch()
    assert (tmp_path / "web.cache").stat().st_mode & 0o7777 == 0o600
    assert b"hunter2" not in (tmp_path / "web.cache").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["web.cache", "web.key"]


@pytest.mark.parametrize("name", ["a_reset_after_hello", "a_reset_after_get", "an_end_at_once"])
def test_silence_and_a_cut_are_no_answer(name: str, cached: ClientOf) -> None:
    with serving() as server:
        cached(server).fetch()
    with serving(TRICKS[name].manner) as server:
        assert cached(server).fetch() == VALUES


@pytest.mark.parametrize("name", ["draining", "unavailable_to_get", "junk", "ok_get_with_an_empty_response"])
def test_who_answers_is_believed_whatever_the_cache_holds(name: str, cached: ClientOf, told: list[str]) -> None:
    with serving() as server:
        cached(server).fetch()
    with serving(TRICKS[name].manner) as server:
        assert error_of(cached(server)).exit_code in (76, 77)
    assert told == []


def test_a_client_that_was_taken_off_is_told_how_to_delete_its_cache(cached: ClientOf, tmp_path: Path) -> None:
    with serving() as server:
        cached(server).fetch()
    with serving(TRICKS["key_not_found"].manner) as server:
        error = error_of(cached(server))
    assert error.hint == (
        f"its id is {CLIENT_ID}: add that to [clients] of the definition, and seal it again; what was its shard is "
        f"still in its cache, and this deletes it: rm {tmp_path}/web.cache"
    )
    assert (tmp_path / "web.cache").exists()


@pytest.mark.parametrize("text", ["DATABASE_URL=x\n", "coffer-secret-key-1:", "x" * 100_000])
def test_a_file_that_is_no_cache_is_left_as_it_is(cached: ClientOf, tmp_path: Path, text: str) -> None:
    path = tmp_path / "web.cache"
    path.write_text(text)
    told: list[str] = []
    with serving(values=VALUES) as server:
        assert cached(server, tell=told.append).fetch() == VALUES
    assert path.read_text() == text
    assert len(told) == 1 and told[0].startswith(f"the cache is not kept: {path}: ")


def test_an_empty_file_becomes_a_cache_and_a_device_does_not(cached: ClientOf, tmp_path: Path) -> None:
    path, told = tmp_path / "web.cache", []
    path.touch()
    with serving(values=VALUES) as server:
        assert cached(server, tell=told.append).fetch() == VALUES
        assert path.read_bytes().startswith(b"COFFERC1") and not told
        path.unlink()
        os.mkfifo(path)
        assert cached(server, tell=told.append).fetch() == VALUES
    assert path.is_fifo() and told == [f"the cache is not kept: {path}: not a regular file"]


def test_a_cache_that_is_too_old_does_not_stand_in(cached: ClientOf, tmp_path: Path) -> None:
    with serving() as server:
        cached(server).fetch()
    age(tmp_path / "web.cache", 15 * 86_400)
    error = error_of(cached(server))
    assert (error.exit_code, str(error)) == (
        69,
        f"127.0.0.1:{server.port}: Connection refused; and no cache can stand in: {tmp_path}/web.cache: 15 days old, "
        "which is over 14 days",
    )
    assert cached(server, max_stale=16 * 86_400).fetch() == VALUES


def test_a_cache_from_the_future_does_not_stand_in(cached: ClientOf, tmp_path: Path) -> None:
    with serving() as server:
        cached(server).fetch()
    age(tmp_path / "web.cache", -3600)
    assert str(error_of(cached(server))).endswith("web.cache: saved in the future")
    age(tmp_path / "web.cache", 3500)  # clocks differ a little
    assert cached(server).fetch() == VALUES


def test_without_a_cache_yet_the_failure_is_what_it_was(cached: ClientOf, tmp_path: Path) -> None:
    with serving() as server:
        pass
    assert str(error_of(cached(server))) == (
        f"127.0.0.1:{server.port}: Connection refused; and no cache can stand in: {tmp_path}/web.cache: "
        "No such file or directory"
    )


def test_a_cache_that_cannot_be_kept_is_no_reason_to_go_without(
    cached: ClientOf, told: list[str], tmp_path: Path
) -> None:
    with serving() as server:
        assert cached(server, cache=tmp_path / "no" / "folder").fetch() == VALUES
    assert told == [f"the cache is not kept: {tmp_path}/no/folder: No such file or directory"]


def test_several_threads_may_keep_one_cache(cached: ClientOf, told: list[str]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with serving() as server, ThreadPoolExecutor(8) as threads:
        client = cached(server)
        assert [each.result() for each in [threads.submit(client.fetch) for _ in range(40)]] == [VALUES] * 40
    assert told == []


def test_offline_nobody_is_asked(cached: ClientOf, told: list[str], tmp_path: Path) -> None:
    with serving() as server:
        cached(server).fetch()
    with serving(values={"NEW": 1}) as server:
        assert cached(server, offline=True).fetch() == VALUES
    assert not server.outcomes
    assert told == [f"offline: going on with {tmp_path}/web.cache, which is 0 s old"]
    (tmp_path / "web.cache").unlink()
    assert error_of(cached(server, offline=True)).exit_code == 78


def test_the_cache_holds_the_newest_shard(cached: ClientOf) -> None:
    for values in ({"A": 1}, {"A": 2}):
        with serving(values=values) as server:
            cached(server).fetch()
    assert cached(server).fetch() == {"A": 2}


def test_the_library_warns_unless_it_is_told_whom_to_tell(key: str, tmp_path: Path) -> None:
    with serving() as server:
        coffer.fetch(address_of(server), key, cache=tmp_path / "web.cache")
    with pytest.warns(UserWarning, match="going on with .*web.cache, which is 0 s old"):
        coffer.fetch(address_of(server), key, cache=tmp_path / "web.cache", retries=0)


def test_the_cache_works_under_asyncio(key: str, tmp_path: Path, told: list[str]) -> None:
    import asyncio

    options = {"cache": tmp_path / "web.cache", "tell": told.append, "retries": 0}
    with serving() as server:
        assert asyncio.run(coffer.aio.fetch(address_of(server), key, **options)) == VALUES
    assert asyncio.run(coffer.aio.fetch(address_of(server), key, **options)) == VALUES
    assert asyncio.run(coffer.aio.fetch(address_of(server), key, **options, offline=True)) == VALUES
    assert [line.partition(":")[0] for line in told] == ["127.0.0.1", "offline"]


def test_offline_without_a_cache_is_a_mistake_of_the_program(key: str) -> None:
    with pytest.raises(ValueError, match="offline"):
        Client(f"coffer://{format_id(b'x' * 32)}@a", key, offline=True)


def test_an_age_is_said_in_the_unit_that_fits() -> None:
    ages = {-3: "0 s", 59: "59 s", 119.9: "119 s", 120: "2 min", 7199: "119 min", 7200: "2 h", 172_800: "2 days"}
    assert {seconds: format_age(seconds) for seconds in ages} == ages


def test_the_age_is_by_the_wall_clock_for_it_outlives_a_boot(cached: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        cached(server).fetch()
    now = time.time()
    monkeypatch.setattr(cache.time, "time", lambda: now + 20 * 86_400)
    with warnings.catch_warnings():
        assert "20 days old" in str(error_of(cached(server)))
