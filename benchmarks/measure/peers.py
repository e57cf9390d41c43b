"""What people would pick instead, each doing equal work: a new connection, mutual authentication, the caller's
own 1 KiB secret, close. Beside that, the same peers on connections that are kept alive, where they win.

What is compared is the server's CPU; the clients are not counted. nginx and Redis are asked by a client in C, as
coffer is, and as many at once, so that rates and times stand beside each other too. etcd is asked by etcdctl, a
process a fetch, as its gateway for other clients knows no user by a certificate: of it only the CPU says anything.
A peer whose Debian package is not installed is left out aloud.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.measure.authority import Authority
from benchmarks.measure.place import Place
from benchmarks.measure.report import Grid, Row
from benchmarks.measure.servers import Server, coffer, cpu_of, load, memory_of
from benchmarks.measure.side_by_side import interleave, ratio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, Self

FETCHES_PROGRAM = Path(__file__).parents[1] / "tls" / "build" / "fetches"
ROUNDS = 9
WIDTH = 16
FETCHES = 2000
ETCD_FETCHES = 60
COFFER_SESSIONS = 6000
TIMES = ("rate", "p50_us", "p99_us", "p99_9_us")
CLIENT = "c0"
SECRET = "s" * 1024
PASSWORD = "benchmark"


def resp(*words: str) -> str:
    """A Redis command on the wire: https://redis.io/docs/latest/develop/reference/protocol-spec/"""
    return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)


class Peer:
    """One peer as a process on a free port, started in ``with``.

    ``greeting`` goes first on a connection, unless it is empty, and ends with ``greeted``; then every ``question``
    gets an ``answer``.
    """

    name: str
    needs: tuple[str, ...]
    target = 4.0  # times coffer's CPU, at the least
    asked = f"{FETCHES:,} fetches, {WIDTH} at once"
    greeting = greeted = ""
    question: str
    answer: str

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._folder = authority.folder / self.needs[0]
        self._folder.mkdir()
        self._folder.chmod(0o755)
        self._port = free_port()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder
        )
        wait_for(self._port)
        self._prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def fetch_fresh(self) -> dict[str, float]:
        """Fetch many times, on a connection each. What one cost is ``cpu_us``; rate and times as ``load`` has them."""
        return self._counted(FETCHES, self._fetch(FETCHES, "fresh"))

    def fetch_kept(self) -> dict[str, float]:
        """The same on connections that are kept, or nothing where that is not measured."""
        return self._counted(20 * FETCHES, self._fetch(20 * FETCHES, "kept"))

    def memory_bytes(self) -> int:
        return memory_of(self._process.pid)

    def _counted(self, count: int, fetch: Callable[[], dict[str, float]]) -> dict[str, float]:
        before = cpu_of(self._process.pid)
        times = fetch()
        return {**times, "cpu_us": (cpu_of(self._process.pid) - before) / count * 1e6}

    def _fetch(self, count: int, way: str) -> Callable[[], dict[str, float]]:
        talk = (self.greeting, self.greeted, self.question, self.answer)
        return lambda: self._ask(str(WIDTH), str(count), way, *talk)

    def _ask(self, *words: str) -> dict[str, float]:
        files = (self._pem("ca.crt"), self._pem(f"{CLIENT}.crt"), self._pem(f"{CLIENT}.key"))
        done = subprocess.run([FETCHES_PROGRAM, str(self._port), *files, *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        told: dict[str, float] = json.loads(done.stdout)
        return told

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _prepare(self) -> None:
        """What is to be done once it listens."""

    def _pem(self, name: str) -> str:
        return str(self._authority.folder / name)


class Nginx(Peer):
    """nginx with mTLS, one worker, a folder a client, no tickets and no session cache."""

    name = "nginx mTLS"
    needs = ("nginx",)
    target = 8.0
    question = "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = SECRET

    def _command(self) -> list[str]:
        folder = self._folder / "secrets" / CLIENT
        folder.mkdir(parents=True)
        (folder / "secret").write_text(SECRET)
        configuration = self._folder / "nginx.conf"
        configuration.write_text(
            f"""
daemon off; worker_processes 1; pid {self._folder}/pid; error_log /dev/null; {"user root;" if not os.geteuid() else ""}
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000;
  map $ssl_client_s_dn $client {{ "~^CN=(?<name>[a-z0-9]+)$" $name; default nobody; }}
  server {{
    listen 127.0.0.1:{self._port} ssl;
    ssl_certificate {self._pem("server.crt")}; ssl_certificate_key {self._pem("server.key")};
    ssl_client_certificate {self._pem("ca.crt")}; ssl_verify_client on;
    ssl_protocols TLSv1.3; ssl_ecdh_curve prime256v1; ssl_session_tickets off; ssl_session_cache off;
    location / {{ root {self._folder}/secrets/$client; }}
  }}
}}
"""
        )
        return ["nginx", "-p", str(self._folder), "-c", str(configuration)]


class Redis(Peer):
    """Redis with TLS, client certificates, and an ACL user that may read its own keys only."""

    name = "Redis TLS"
    needs = ("redis-server",)
    greeting, greeted = resp("AUTH", CLIENT, PASSWORD), "+OK\r\n"
    question, answer = resp("GET", f"{CLIENT}:secret"), f"{SECRET}\r\n"

    def _command(self) -> list[str]:
        users = self._folder / "users.acl"
        users.write_text(f"user default off\nuser {CLIENT} on >{PASSWORD} ~{CLIENT}:* +get +set\n")
        return [
            *("redis-server", "--port", "0", "--tls-port", str(self._port), "--bind", "127.0.0.1"),
            *("--tls-cert-file", self._pem("server.crt"), "--tls-key-file", self._pem("server.key")),
            *("--tls-ca-cert-file", self._pem("ca.crt"), "--tls-auth-clients", "yes", "--tls-session-caching", "no"),
            *("--tls-protocols", "TLSv1.3", "--save", "", "--appendonly", "no", "--aclfile", str(users)),
        ]

    def _prepare(self) -> None:
        self._ask("1", "1", "fresh", self.greeting, self.greeted, resp("SET", f"{CLIENT}:secret", SECRET), "+OK\r\n")


class Etcd(Peer):
    """etcd with mTLS and roles by the certificate's name, asked with etcdctl, one process a fetch."""

    name = "etcd mTLS"
    needs = ("etcd", "etcdctl")
    asked = f"{ETCD_FETCHES} fetches by etcdctl, one after another"

    def _command(self) -> list[str]:
        self._authority.issue("root")
        return [
            *("etcd", "--data-dir", str(self._folder / "data"), "--log-level", "error"),
            *("--listen-client-urls", f"https://127.0.0.1:{self._port}"),
            *("--advertise-client-urls", f"https://127.0.0.1:{self._port}"),
            *("--listen-peer-urls", f"http://127.0.0.1:{free_port()}"),
            *("--cert-file", self._pem("server.crt"), "--key-file", self._pem("server.key")),
            *("--client-cert-auth", "--trusted-ca-file", self._pem("ca.crt")),
        ]

    def _prepare(self) -> None:
        for words in (
            ("user", "add", "root", "--no-password"),
            ("user", "grant-role", "root", "root"),
            ("role", "add", CLIENT),
            ("role", "grant-permission", CLIENT, "read", f"{CLIENT}/secret"),
            ("user", "add", CLIENT, "--no-password"),
            ("user", "grant-role", CLIENT, CLIENT),
            ("put", f"{CLIENT}/secret", SECRET),
            ("auth", "enable"),
        ):
            self._control("root", *words)

    def fetch_fresh(self) -> dict[str, float]:
        return self._counted(ETCD_FETCHES, self._fetch_with_etcdctl)

    def fetch_kept(self) -> dict[str, float]:
        return {}

    def _fetch_with_etcdctl(self) -> dict[str, float]:
        for _ in range(ETCD_FETCHES):
            if SECRET not in self._control(CLIENT, "get", f"{CLIENT}/secret"):
                raise RuntimeError("etcd gave another answer")
        return {}

    def _control(self, who: str, *words: str) -> str:
        done = subprocess.run(
            [
                *("etcdctl", "--endpoints", f"https://127.0.0.1:{self._port}", "--cacert", self._pem("ca.crt")),
                *("--cert", self._pem(f"{who}.crt"), "--key", self._pem(f"{who}.key"), *words),
            ],
            env={**os.environ, "ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


PEERS = (Nginx, Redis, Etcd)


def build_client() -> bool:
    """Build the client in C; False where OpenSSL's headers are missing."""
    return subprocess.run(["make", "--silent", "-C", FETCHES_PROGRAM.parents[1]]).returncode == 0


def compare() -> list[Row | Grid]:
    """Server CPU of a fetch, each peer's over coffer's, in turn in one run; and all that was seen beside it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        ours.mkdir()
        theirs.mkdir()
        authority = Authority(theirs)
        authority.issue(CLIENT)
        place = Place(ours, 16, value_letters=1000)
        server = running.enter_context(coffer(place))
        peers = [running.enter_context(kind(authority)) for kind in _installed()]
        seen = _Seen()
        acts = {peer.name: seen.noting(peer.name, peer.fetch_fresh) for peer in peers}
        given = interleave({"coffer": seen.noting("coffer", lambda: _fetch_ours(server, place)), **acts}, ROUNDS)
        for peer in peers:
            seen.noting(f"{peer.name}, kept connections", peer.fetch_kept)()
        seen.memory = {each.name: each.memory_bytes() / 2**20 for each in (server, *peers)}
    rows = [
        Row(f"{peer.name}, times coffer's CPU a fetch", ratio(given, peer.name, "coffer"), peer.target, least=True)
        for peer in peers
    ]
    return [*rows, seen.grid()]


class _Seen:
    """What each run of fetches told, by the name of who was asked."""

    def __init__(self) -> None:
        self._told: dict[str, list[dict[str, float]]] = {}
        self.memory: dict[str, float] = {}

    def noting(self, name: str, fetch: Callable[[], dict[str, Any]]) -> Callable[[], float]:
        """An act for ``interleave``: fetch, keep what was told, and return the CPU of a fetch."""

        def noted() -> float:
            told = fetch()
            self._told.setdefault(name, []).append(told)
            return float(told.get("cpu_us", 0))

        return noted

    def grid(self) -> Grid:
        """The median of each figure."""
        lines = []
        for name, told in self._told.items():
            figures = [_median([each.get(which) for each in told]) for which in ("cpu_us", *TIMES)]
            if any(figures):
                lines.append((name, *figures, self.memory.get(name)))
        columns = ("server CPU us", "fetches/s", "p50 us", "p99 us", "p99.9 us", "memory MiB")
        return Grid(columns, lines)


def _median(figures: list[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None


def _fetch_ours(server: Server, place: Place) -> dict[str, Any]:
    before = server.cpu_seconds()
    told = load(server, place, COFFER_SESSIONS, WIDTH)
    return {**told, "cpu_us": (server.cpu_seconds() - before) / COFFER_SESSIONS * 1e6}


def _installed() -> Iterator[type[Peer]]:
    if not build_client():
        print("the peers are left out: OpenSSL's headers are missing (Debian: libssl-dev)", file=sys.stderr)
        return
    for kind in PEERS:
        missing = [program for program in kind.needs if not shutil.which(program)]
        if missing:
            print(f"{kind.name} is left out: {', '.join(missing)} is not installed", file=sys.stderr)
        else:
            yield kind


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
