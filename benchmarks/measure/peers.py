"""What people would pick instead, each doing equal work: a new connection, mutual authentication, the caller's
own 1 KiB secret, close. Beside that, the same peers on connections that are kept alive, where they win.

What is compared is the server's CPU: the clients here are Python's ssl and etcdctl, and are not measured. A peer
whose Debian package is not installed is left out aloud.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.measure.authority import Authority
from benchmarks.measure.place import Place
from benchmarks.measure.report import Row
from benchmarks.measure.servers import Server, coffer, cpu_of, load
from benchmarks.measure.side_by_side import interleave, ratio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

ROUNDS = 5
FETCHES = 400
ETCD_FETCHES = 60
COFFER_SESSIONS = 6000
CLIENT = "c0"
SECRET = "s" * 1024
PASSWORD = "benchmark"


class Peer:
    """One peer as a process on a free port, started in ``with``."""

    name: str
    needs: tuple[str, ...]
    fetches = FETCHES

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._folder = authority.folder / self.needs[0]
        self._folder.mkdir()
        self._folder.chmod(0o755)
        self._port = free_port()
        self._context = authority.client_context(CLIENT)

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

    def cpu_a_fetch(self) -> float:
        """CPU seconds that one fetch on a connection of its own costs the peer."""
        before = cpu_of(self._process.pid)
        for _ in range(self.fetches):
            self.fetch()
        return (cpu_of(self._process.pid) - before) / self.fetches

    def cpu_a_kept_fetch(self) -> float | None:
        """The same on one connection that is kept, or None where that is not measured."""
        count = self.fetches * 20
        with self._connect() as kept:
            self._greet(kept)
            before = cpu_of(self._process.pid)
            for _ in range(count):
                self._ask(kept)
            return (cpu_of(self._process.pid) - before) / count

    def fetch(self) -> None:
        with self._connect() as connection:
            self._greet(connection)
            self._ask(connection)

    def _connect(self) -> ssl.SSLSocket:
        return self._context.wrap_socket(
            socket.create_connection(("127.0.0.1", self._port)), server_hostname="127.0.0.1"
        )

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _prepare(self) -> None:
        """What is to be done once it listens."""

    def _greet(self, connection: ssl.SSLSocket) -> None:
        """What goes before the first question."""

    def _ask(self, connection: ssl.SSLSocket) -> None:
        raise NotImplementedError

    def _pem(self, name: str) -> str:
        return str(self._authority.folder / name)


class Nginx(Peer):
    """nginx with mTLS, one worker, a folder a client, no tickets and no session cache."""

    name = "nginx mTLS"
    needs = ("nginx",)

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

    def _ask(self, connection: ssl.SSLSocket) -> None:
        connection.sendall(b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(connection, SECRET.encode())


class Redis(Peer):
    """Redis with TLS, client certificates, and an ACL user that may read its own keys only."""

    name = "Redis TLS"
    needs = ("redis-server",)

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
        with self._connect() as connection:
            self._greet(connection)
            connection.sendall(_resp("SET", f"{CLIENT}:secret", SECRET))
            read_until(connection, b"+OK\r\n")

    def _greet(self, connection: ssl.SSLSocket) -> None:
        connection.sendall(_resp("AUTH", CLIENT, PASSWORD))
        read_until(connection, b"+OK\r\n")

    def _ask(self, connection: ssl.SSLSocket) -> None:
        connection.sendall(_resp("GET", f"{CLIENT}:secret"))
        read_until(connection, SECRET.encode() + b"\r\n")


class Etcd(Peer):
    """etcd with mTLS and roles by the certificate's name, asked with etcdctl, one process a fetch."""

    name = "etcd mTLS"
    needs = ("etcd", "etcdctl")
    fetches = ETCD_FETCHES

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

    def fetch(self) -> None:
        if SECRET not in self._control(CLIENT, "get", f"{CLIENT}/secret"):
            raise RuntimeError("etcd gave another answer")

    def cpu_a_kept_fetch(self) -> None:
        return None

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


PEERS: tuple[tuple[type[Peer], float], ...] = ((Nginx, 8.0), (Redis, 4.0), (Etcd, 4.0))


def compare() -> list[Row]:
    """Server CPU of a fetch: each peer's over coffer's, in turn in one run."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        ours.mkdir()
        theirs.mkdir()
        authority = Authority(theirs)
        authority.issue(CLIENT)
        place = Place(ours, 16, value_letters=1000)
        with coffer(place) as server:
            for kind, target in _installed():
                with kind(authority) as peer:
                    rows.extend(_rows(peer, server, place, target))
    return rows


def _rows(peer: Peer, server: Server, place: Place, target: float) -> Iterator[Row]:
    def ours() -> float:
        before = server.cpu_seconds()
        load(server, place, COFFER_SESSIONS)
        return (server.cpu_seconds() - before) / COFFER_SESSIONS

    given = interleave({"coffer": ours, "peer": peer.cpu_a_fetch}, ROUNDS)
    yield Row(
        f"{peer.name}, times coffer's server CPU a fetch",
        ratio(given, "peer", "coffer"),
        target,
        least=True,
        detail=f"{median(given['peer']) * 1e6:.0f} us, coffer {median(given['coffer']) * 1e6:.0f} us",
    )
    kept = peer.cpu_a_kept_fetch()
    if kept is not None:
        detail = f"{kept * 1e6:.0f} us: a connection that is kept shakes hands once"
        yield Row(f"{peer.name} on a kept connection, times coffer's", kept / median(given["coffer"]), detail=detail)


def _installed() -> Iterator[tuple[type[Peer], float]]:
    for kind, target in PEERS:
        missing = [program for program in kind.needs if not shutil.which(program)]
        if missing:
            print(f"{kind.name} is left out: {', '.join(missing)} is not installed", file=sys.stderr)
        else:
            yield kind, target


def _resp(*words: str) -> bytes:
    """A Redis command on the wire: https://redis.io/docs/latest/develop/reference/protocol-spec/"""
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)


def read_until(connection: ssl.SSLSocket, end: bytes) -> None:
    said = b""
    while not said.endswith(end):
        part = connection.recv(65536)
        if not part:
            raise RuntimeError(f"a peer hung up: {said[:80]!r}")
        said += part


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
