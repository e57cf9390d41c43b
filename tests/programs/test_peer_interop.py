"""The three programs and the second implementation, honest with each other: values, key files, sealing, rotation."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import TABLES, Run, environment_in
from house import House
from peer_house import PeerHouse

from peer import definition, envelope, response
from peer.boxes import blake, box, dh, public, unbox
from peer.client import Client, fetch, ping
from peer.identity import Address, format_id, load_key, parse_id, save_key
from peer.server import Server

ROOT = Path(__file__).parents[2]
CASES = json.loads((ROOT / "tests" / "vectors" / "response.json").read_text())["cases"]
SIZES = [1, 15, 254, 255, 256, 257, 511, 512, 65_023, 65_024, response.LIMIT_BYTES]  # both sides of a block's end
WEB = tomllib.loads(TABLES)["web"]


def shard_of(size: int) -> response.Shard:
    """A shard whose response has so many bytes."""
    if size == 1:
        return {}
    shards: Iterator[response.Shard] = ({"A": "x" * (size - around)} for around in (17, 16, 15))
    return next(shard for shard in shards if len(response.encode(shard)) == size)


KNOWN = {f"value-{at}": bytes.fromhex(case["response"]) for at, case in enumerate(CASES)}
KNOWN |= {f"size-{size}": response.encode(shard_of(size)) for size in SIZES}


class WideHouse(PeerHouse):
    """A house with a client for every known response, and one without a table."""

    names = (*PeerHouse.names, *KNOWN, "bare")


def wide_tables() -> str:
    values = "".join(f"[value-{at}]\n{case['toml']}\n" for at, case in enumerate(CASES))
    sizes = "".join(f"[size-{size}]\n" + "".join(f'A = "{a}"\n' for a in shard_of(size).values()) for size in SIZES)
    return values + sizes


@pytest.fixture(scope="module")
def wide_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideHouse]:
    folder = tmp_path_factory.mktemp("wide")
    house = WideHouse(folder, environment_in(folder))
    house.seal(wide_tables(), clients=(*KNOWN, "bare"))
    house.start()
    yield house
    house.stop()


# ---- values


@pytest.mark.parametrize("name", KNOWN)
def test_coffer_server_answers_with_the_known_bytes(name: str, wide_house: WideHouse) -> None:
    with Client(wide_house.where, wide_house.secrets[name]) as client:
        client.hello()
        client.get()
        client.bye()
        assert client.response == KNOWN[name]
        blocks = len(client.response) // 256 + 1
        assert len(client.stream.received) == 3 + 72 + 3 + 16 + 256 * blocks


def test_a_client_without_a_table_gets_the_empty_shard(wide_house: WideHouse) -> None:
    assert fetch(wide_house.where, wide_house.secrets["bare"]) == {}


@pytest.mark.parametrize("at", range(len(CASES)), ids=[case["toml"] for case in CASES])
def test_coffer_client_reads_what_either_server_sends(at: int, wide_house: WideHouse, run: Run) -> None:
    name = f"value-{at}"
    theirs = Server([wide_house.secrets["server"]], {}, everyone=KNOWN[name])
    with theirs, ThreadPoolExecutor() as pool:
        address = wide_house.address.replace(f":{wide_house.port}", f":{theirs.port}")
        settings = wide_house.settings(name), wide_house.settings(name) | {"COFFER_SERVER": address}
        ours, others = pool.map(lambda each: run("coffer-client", "get", env=each), settings)
    assert ours == others
    assert (ours.code, ours.err) == (0, "")
    # As text, in which NaN is like itself.
    assert repr(tomllib.loads(ours.out)) == repr(tomllib.loads(CASES[at]["toml"]))


@pytest.mark.parametrize("size", SIZES)
def test_coffer_client_takes_every_size_from_the_second_implementation(size: int, run: Run, tmp_path: Path) -> None:
    s = os.urandom(32)
    save_key(tmp_path / "web.key", os.urandom(32))
    with Server([s], {}, everyone=response.encode(shard_of(size))) as server:
        address = f"coffer://{format_id(public(s))}@127.0.0.1:{server.port}"
        got = run("coffer-client", "get", "--format", "json", "--server", address, "--key", "web.key")
        assert json.loads(got.out) == shard_of(size)
        assert run("coffer-client", "ping", "--server", address, "--key", "web.key").code == 0
    assert server.outcomes == {"done": 2}  # Bye said, and closed by the client


# ---- key files and the sealed definition


class CompanionHouse(House):
    """A house in which coffer-companion makes the keys and the sealed definitions."""

    def make_keys(self) -> None:
        self.ids = {name: self.companion("keygen", "-o", f"{name}.key").strip() for name in self.names}

    def id(self, name: str) -> str:
        return self.ids[name]

    def sealed(self, text: bytes) -> bytes:
        (self.folder / "plain.toml").write_bytes(text)
        self.companion("seal", "plain.toml", "--key", "companion.key", "--server", self.id("server"), "-o", "sealed")
        return (self.folder / "sealed").read_bytes()

    def companion(self, *arguments: str) -> str:
        command = ["coffer-companion", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout  # fmt: skip

    def secret(self, name: str) -> bytes:
        """The secret key, as the second implementation reads the key file."""
        return load_key(self.folder / f"{name}.key")

    @property
    def where(self) -> Address:
        return Address(public(self.secret("server")), "127.0.0.1", self.port)


@pytest.fixture(scope="module")
def companion_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanionHouse]:
    folder = tmp_path_factory.mktemp("companion")
    house = CompanionHouse(folder, environment_in(folder))
    house.seal("[web]\nPASSWORD = 'a first one'\n")
    house.seal(TABLES)
    house.start()
    yield house
    house.stop()


def test_a_key_file_of_the_companion_is_read_and_its_id_too(companion_house: CompanionHouse) -> None:
    for name in companion_house.names:
        key = public(companion_house.secret(name))
        assert parse_id(companion_house.id(name)) == key
        assert format_id(key) == companion_house.id(name)


def test_a_definition_sealed_by_the_companion_opens_at_both_ends(companion_house: CompanionHouse) -> None:
    sealed = envelope.dearmor((companion_house.folder / "definition.coffer").read_text())
    s, k = companion_house.secret("server"), companion_house.secret("companion")
    plain = (companion_house.folder / "plain.toml").read_bytes()
    assert envelope.open_sealed(sealed, s, public(k)) == envelope.open_sealed(sealed, k, public(s)) == plain
    assert envelope.parse_header(sealed).serial == 2


def test_a_key_file_of_the_second_implementation_is_read_and_its_id_too(run: Run, tmp_path: Path) -> None:
    made = peer("keygen", tmp_path / "new.key").stdout
    assert run("coffer-companion", "id", "new.key") == (0, made, "")


def test_a_definition_sealed_by_the_second_implementation_opens_at_both_ends(run: Run, tmp_path: Path) -> None:
    house = PeerHouse(tmp_path, environment_in(tmp_path))
    house.seal(TABLES)
    by_companion = run("coffer-companion", "open", "definition.coffer", "--key", "companion.key")
    by_server = run(
        "coffer-companion", "open", "definition.coffer", "--key", "server.key", "--companion", house.id("companion")
    )
    clients = f'[clients]\nweb = "{house.id("web")}"\nworker = "{house.id("worker")}"\n'
    assert by_companion == by_server == (0, clients + TABLES, "")


def test_the_companion_goes_on_from_what_the_second_implementation_sealed(run: Run, tmp_path: Path) -> None:
    house = PeerHouse(tmp_path, environment_in(tmp_path))
    house.serial = 41
    house.seal(TABLES)
    plain = run("coffer-companion", "open", "definition.coffer").out
    assert run("coffer-companion", "seal", "-", "-o", "definition.coffer", stdin=plain + "# more\n").code == 0
    sealed = envelope.dearmor((tmp_path / "definition.coffer").read_text())
    assert envelope.parse_header(sealed).serial == 43
    S = public(house.secrets["server"])
    assert envelope.open_sealed(sealed, house.secrets["companion"], S).decode() == plain + "# more\n"


# ---- the client's cache


def test_the_second_implementation_opens_a_cache(companion_house: CompanionHouse, run: Run, tmp_path: Path) -> None:
    kept = run("coffer-client", "get", "PORT", "--cache", "kept", env=companion_house.settings())
    assert kept == (0, "5432", "")
    data, c = (tmp_path / "kept").read_bytes(), companion_house.secret("web")
    header, C = data[:104], public(c)
    assert header[:8] == b"COFFERC1" and header[16:80] == companion_house.where.S + C
    assert abs(int.from_bytes(header[8:16], "big") - time.time()) < 60
    assert unbox(dh(C, c), blake(24, "cache", header), data[104:]) == response.encode(WEB)


def test_a_cache_of_the_second_implementation_is_read(
    companion_house: CompanionHouse, run: Run, tmp_path: Path
) -> None:
    c, saved_at = companion_house.secret("web"), int(time.time())
    C = public(c)
    header = b"COFFERC1" + saved_at.to_bytes(8, "big") + companion_house.where.S + C + os.urandom(24)
    sealed = box(dh(C, c), blake(24, "cache", header), response.encode({"ROSE": "kept"}))
    (tmp_path / "kept").write_bytes(header + sealed)
    (tmp_path / "kept").chmod(0o600)
    asked = run("coffer-client", "get", "ROSE", "--offline", "--cache", "kept", env=companion_house.settings())
    assert asked[:2] == (0, "kept")


# ---- sessions, and the second implementation as programs


def peer(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the second implementation as a program."""
    command = [sys.executable, "-m", "tests.peer", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


@contextlib.contextmanager
def peer_serving(*words: str | Path) -> Iterator[str]:
    """Serve by the second implementation as a program; the HOST:PORT."""
    command = [sys.executable, "-m", "tests.peer", "server", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


def test_everything_that_coffer_made_serves_the_second_implementation(companion_house: CompanionHouse) -> None:
    where, web = companion_house.where, companion_house.secret("web")
    assert list(fetch(where, web).items()) == list(WEB.items())
    assert fetch(where, companion_house.secret("worker")) == {"TOKEN": "bluebell"}
    ping(where, web)


def test_the_program_of_the_second_implementation_asks_coffer_server(companion_house: CompanionHouse) -> None:
    at = ("client", "--server", companion_house.address, "--key")
    shard = json.dumps(WEB, default=str, ensure_ascii=False) + "\n"
    asked = peer(*at, companion_house.folder / "web.key", "--sessions", "50")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, shard, "")
    stranger = peer(*at, companion_house.folder / "stranger.key")
    assert (stranger.returncode, stranger.stderr) == (77, "peer: KEY_NOT_FOUND\n")
    did = peer(*at, companion_house.folder / "web.key", "--deed", "get_twice")
    assert (did.returncode, did.stdout) == (0, '{"answers": ["LINK", "OK_GET"], "end": "reset"}\n')


def test_coffer_client_asks_the_program_of_the_second_implementation(companion_house: CompanionHouse, run: Run) -> None:
    folder = companion_house.folder
    with peer_serving("--key", folder / "server.key", "--definition", folder / "plain.toml") as bound:
        theirs = {"COFFER_SERVER": f"coffer://{companion_house.id('server')}@{bound}"}
        web, stranger = (companion_house.settings(name) | theirs for name in ("web", "stranger"))
        shown = run("coffer-client", "run", "--", "sh", "-c", 'printf "%s|" "$PASSWORD" "$SINCE"', env=web)
        assert shown == (0, "tulip \n|2026-01-02T03:04:05Z|", "")
        assert tomllib.loads(run("coffer-client", "get", env=web).out) == WEB
        assert run("coffer-client", "ping", env=web).code == 0
        assert run("coffer-client", "get", env=stranger).code == 77


def test_a_server_with_two_keys_answers_under_either(run: Run, tmp_path: Path) -> None:
    """While a key is rotated: coffer-server to the second implementation, and the other way round."""
    house = PeerHouse(tmp_path, environment_in(tmp_path))
    house.seal(TABLES)
    old, web = house.secrets["stranger"], house.secrets["web"]
    house.start("--key", "stranger.key")
    try:
        for S in (house.where.S, public(old)):
            assert fetch(house.where._replace(S=S), web) == WEB
    finally:
        house.stop()
    with Server([house.secrets["server"], old], definition.responses(plain_of(house))) as server:
        house.port = server.port
        for name in ("server", "stranger"):
            address = house.address.replace(house.id("server"), house.id(name))
            asked = run("coffer-client", "get", "PORT", env=house.settings() | {"COFFER_SERVER": address})
            assert asked == (0, "5432", "")


def plain_of(house: PeerHouse) -> str:
    sealed = envelope.dearmor((house.folder / "definition.coffer").read_text())
    return envelope.open_sealed(sealed, house.secrets["server"], public(house.secrets["companion"])).decode()
