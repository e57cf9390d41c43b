"""Whole sessions: what one costs the server, beside the limit; how that grows; and what an idle one holds."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import tomli

from benchmarks.measure.place import Place
from benchmarks.measure.report import Grid, Row
from benchmarks.measure.servers import Server, coffer, limit, load
from benchmarks.measure.side_by_side import interleave, ratio
from coffer import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 9
SESSIONS = 6000
FETCHERS = 16
IDLE = 5000
# So many clients or more leave enough that have never fetched.
NEWCOMERS = 50_000


def against_limit() -> list[Row]:
    """Server CPU a session, one worker, a 1 KiB shard, all limits and checks on, beside the C loop."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), FETCHERS)
        with coffer(place) as ours, limit(place) as least:
            given = interleave({each.name: cpu_a_session(each, place) for each in (ours, least)}, ROUNDS)
            rates = load(ours, place, SESSIONS)
    detail = f"{median(given['coffer']) * 1e6:.0f} us, the limit {median(given['limit']) * 1e6:.0f} us"
    return [
        Row("server CPU a session, beside the limit", ratio(given, "coffer", "limit"), 1.20, detail=detail),
        Row("sessions a second of one worker, the load beside it", rates["rate"]),
    ]


def cpu_a_session(server: Server, place: Place, clients: Path | None = None) -> Callable[[], float]:
    """An act for ``interleave``: CPU seconds that a session costs the server."""

    def measured() -> float:
        before = server.cpu_seconds()
        load(server, place, SESSIONS, clients=clients)
        return (server.cpu_seconds() - before) / SESSIONS

    return measured


def growth(counts: Sequence[int] = (10, 1_000, 100_000, 1_000_000)) -> list[Row | Grid]:
    """What more clients in the definition change: a session of one that has fetched before and of one that has not,
    a reload, and memory.
    """
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        least = _crowd(Path(folder), "few", 10)
        with coffer(least) as few:
            load(few, least, 100)
            for count in counts:
                place = _crowd(Path(folder), "many", count)
                with coffer(place, "--definition-limit", "4GiB") as server:
                    known = place.first_clients(10)
                    load(server, place, 100, clients=known)
                    acts = {"few": cpu_a_session(few, least), "many": cpu_a_session(server, place, known)}
                    given = interleave(acts, ROUNDS)
                    lines.append((f"{count:,} clients", median(given["many"]) * 1e6, *_crowded(server, place, count)))
    target = f"session cost, {counts[-1]:,} clients beside 10"
    columns = ("session us", "first session us", "reload CPU s", "memory MiB")
    return [Row(target, ratio(given, "many", "few"), 1.05), Grid(columns, lines)]


def _crowd(folder: Path, name: str, count: int) -> Place:
    place = folder / name
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    return Place(place, count, value_letters=20)


def _crowded(server: Server, place: Place, count: int) -> tuple[float | None, float, float]:
    """Microseconds of a client's first session, seconds of a reload, MiB of memory: of a server with many clients."""
    first = None
    if count > NEWCOMERS:
        first = median(cpu_a_session(server, place, each)() for each in place.newcomers(3, SESSIONS)) * 1e6
    memory = server.memory_bytes() / 2**20
    return first, _reload_cpu(server), memory


def loading(clients: int = 100_000) -> list[Row]:
    """Loading many clients of four values: CPU beside tomli alone, memory beside what is sealed, sessions meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), clients, value_letters=20, values=4)
        small = Path(folder) / "small"
        small.mkdir()
        few = place.first_clients(10)
        with coffer(Place(small, 10)) as least, coffer(place) as server:
            held = server.memory_bytes() - least.memory_bytes()
            given = interleave({"load": lambda: _reload_cpu(server), "tomli": lambda: _tomli_cpu(place.text)}, 3)
            quiet, meanwhile = _p99(server, place, few), _p99_while_loading(server, place, few)
    sealed = _sealed_bytes(place)
    return [
        Row(
            f"loading {clients:,} clients, CPU beside tomli alone",
            ratio(given, "load", "tomli"),
            3.0,
            detail=f"{median(given['load']):.1f} s",
        ),
        Row(
            f"memory for {clients:,} clients, beside sealed shards and ids",
            held / sealed,
            2.0,
            detail=f"{held / 2**20:.1f} MiB for {sealed / 2**20:.1f} MiB",
        ),
        Row(
            "p99 while loading, ms more than quiet",
            (meanwhile - quiet) / 1000,
            5.0,
            detail=f"{quiet / 1000:.1f} ms quiet",
        ),
    ]


def _sealed_bytes(place: Place) -> int:
    shards = tomli.loads(place.text)
    del shards["clients"]
    return sum(32 + 16 + len(codec.encode(shard)) for shard in shards.values())


def _reload_cpu(server: Server) -> float:
    """CPU seconds, in hundredths, of the master's children that have ended: the loader's, after a reload."""
    master = server.pids[0]
    faults, before = _ended_children(master)
    subprocess.run(["kill", "-HUP", str(master)], check=True)
    deadline = time.monotonic() + 120
    while _ended_children(master)[0] == faults:
        if time.monotonic() > deadline:
            raise RuntimeError("the reload did not end")
        time.sleep(0.05)
    return _ended_children(master)[1] - before


def _ended_children(pid: int) -> tuple[int, float]:
    """Page faults, which no process is without, and CPU seconds of a process's children that have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[8]), (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")


def _tomli_cpu(text: str) -> float:
    """CPU that a child takes to do nothing but parse the text."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = os.fork()
    if not pid:
        tomli.loads(text)
        os._exit(0)
    os.waitpid(pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _p99(server: Server, place: Place, clients: Path) -> float:
    return float(load(server, place, 3000, 4, clients, "--rate", "500")["p99_us"])


def _p99_while_loading(server: Server, place: Place, clients: Path) -> float:
    loading = threading.Thread(target=_reload_cpu, args=(server,))
    loading.start()
    p99 = _p99(server, place, clients)
    loading.join()
    return p99


def sizes() -> Grid:
    """Server CPU of a session in microseconds, by the size of the shard, beside the limit."""
    lines = []
    for letters in (200, 1000, 4000, 16_000, 64_000):
        with tempfile.TemporaryDirectory() as folder:
            place = Place(Path(folder), FETCHERS, value_letters=letters)
            with coffer(place) as ours, limit(place) as least:
                given = interleave({each.name: cpu_a_session(each, place) for each in (ours, least)}, 3)
        figures = (median(given["coffer"]) * 1e6, median(given["limit"]) * 1e6, ratio(given, "coffer", "limit"))
        lines.append((f"{letters / 1000:g} KB shard", *figures))
    return Grid(("coffer us", "limit us", "ratio"), lines)


def widths() -> Grid:
    """A session's cost to the server and its times, by how many sessions there are at once.

    Ten thousand at once are more than the kernel's queue of 4,096 takes in: who is dropped there tries again.
    """
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), FETCHERS)
        with coffer(place, "--max-connections", "20000") as server:
            for width in (1, 10, 100, 1000, 10_000):
                sessions = max(SESSIONS, 3 * width)
                before = server.cpu_seconds()
                told = load(server, place, sessions, width, None, "--source", "127.0.0.2-127.0.0.50", "--retries", "5")
                cpu = (server.cpu_seconds() - before) / sessions * 1e6
                times = [told[which] / 1000 for which in ("p50_us", "p99_us", "p99_9_us")]
                lines.append((f"{width:,} at once", cpu, told["rate"], *times, server.memory_bytes() / 2**20))
    return Grid(("server CPU us", "sessions/s", "p50 ms", "p99 ms", "p99.9 ms", "memory after, MiB"), lines)


def idle() -> list[Row]:
    """What a connection that says nothing holds of the worker's memory."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), FETCHERS)
        with coffer(place) as server:
            load(server, place, 2000)
            before = server.memory_bytes()
            host, port = server.address.rsplit(":", 1)
            held = [socket.create_connection((host, int(port))) for _ in range(IDLE)]
            time.sleep(1.0)
            more = server.memory_bytes() - before
            for each in held:
                each.close()
    return [Row("memory of an idle connection, bytes", more / IDLE, 4096.0)]
