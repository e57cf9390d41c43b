"""A life of coffer-server: draining, dying, being replaced, what the service manager hears, what others can read."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tower import CANARIES, Manager, Tower, contains_none, is_accepted, is_alive, status_of, take, until


@pytest.fixture
def tower(tmp_path: Path, environment: dict[str, str]) -> Iterator[Tower]:
    tower = Tower(tmp_path, environment)
    yield tower
    tower.close()
    if tower.process is not None:
        log = tower.read_log()
        assert contains_none([log]) and "Traceback" not in log and "internal error" not in log, log


def refuses(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def large() -> str:
    """A definition that takes a second or more to load."""
    return (
        "[web]\nPASSWORD = 1\n[worker]\n"
        + "".join(f"K{number} = {number}\n" for number in range(3000))
        + "\n".join(f"# {number} {'x' * 70}" for number in range(200_000))
    )


# ---- draining


def test_a_drain_finishes_what_has_begun_refuses_the_late_and_ends_with_0(tower: Tower) -> None:
    tower.open("--workers", "2")
    linked, linked_session, get = tower.linked()
    late, late_session = tower.connect(), tower.session("worker")
    until(lambda: is_accepted(late))
    assert tower.process
    tower.process.send_signal(signal.SIGTERM)
    until(lambda: refuses(tower.port), 2)
    time.sleep(1.3)
    with late:
        late.sendall(late_session.hello)
        late_session.receive(take(late, 3 + 328))
        assert late_session.refusal == b"draining"
    with linked:
        linked.sendall(get)
        linked.sendall(linked_session.receive(take(linked, 3 + 16 + 256)))
        assert linked_session.response
    assert tower.process.wait(3) == 0
    assert "coffer-server: draining\n" in tower.read_log()
    assert tower.read_log().endswith("coffer-server: stopped\n")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(tower: Tower, first: int) -> None:
    tower.open()
    linked, _, _ = tower.linked()
    with linked:
        assert tower.process
        tower.process.send_signal(first)
        tower.await_line("draining")
        began = time.monotonic()
        assert tower.end(signal.SIGTERM, 2) == 0
        assert time.monotonic() - began < 1
    assert tower.read_log().endswith("coffer-server: draining\ncoffer-server: stopped at once, as asked twice\n")


def test_an_interrupt_at_the_terminal_reaches_all_and_drains_like_any_other(tower: Tower) -> None:
    """It goes to the whole group: the workers must not take it for themselves."""
    tower.open("--workers", "2", start_new_session=True)
    linked, session, get = tower.linked()
    with linked:
        assert tower.process
        os.killpg(tower.process.pid, signal.SIGINT)
        tower.await_line("draining")
        linked.sendall(get)
        linked.sendall(session.receive(take(linked, 3 + 16 + 256)))
    assert tower.process.wait(5) == 0 and session.response


def test_a_signal_during_the_start_ends_it(tower: Tower) -> None:
    tower.seal(large())
    tower.launch()
    until(lambda: tower.children, 5)
    began = time.monotonic()
    assert tower.end(signal.SIGTERM, 5) == 0
    assert time.monotonic() - began < 2
    assert "listening" not in tower.read_log()


def test_a_load_under_way_does_not_outlive_the_server(tower: Tower) -> None:
    tower.open()
    (worker,) = tower.children
    tower.seal(large())
    assert tower.process
    tower.process.send_signal(signal.SIGHUP)
    (loader,) = until(lambda: set(tower.children) - {worker}, 5)
    assert tower.end(signal.SIGTERM, 5) == 0
    assert not is_alive(loader) and not is_alive(worker)


# ---- dying


def test_a_worker_that_is_killed_is_replaced_and_the_next_waits_for_it(tower: Tower) -> None:
    tower.open()
    for turn in range(5):
        (worker,) = until(lambda: tower.children)
        os.kill(worker, signal.SIGKILL)
        until(lambda turn=turn: tower.read_log().count("a worker died (SIGKILL)") == turn + 1)
        assert tower.fetch(), "it waited in the queue"
    log = tower.read_log()
    assert "a worker died (SIGKILL), 5 times in a row; a new one starts in 1.6 s" in log


def test_a_worker_comes_back_to_the_newest_definition(tower: Tower) -> None:
    tower.open()
    tower.seal("[worker]\nTOKEN = 2\n[web]\nNEW = true\n")
    os.kill(tower.children[0], signal.SIGSTOP)
    stuck = tower.children[0]
    assert tower.process
    tower.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    os.kill(stuck, signal.SIGKILL)
    tower.await_line("serving serial 2: ")
    assert b"NEW" in tower.fetch()


def test_a_master_that_is_killed_takes_all_with_it_even_in_the_middle_of_a_load(tower: Tower) -> None:
    tower.open("--workers", "2")
    workers = tower.children
    tower.seal(large())
    assert tower.process
    tower.process.send_signal(signal.SIGHUP)
    until(lambda: set(tower.children) - set(workers), 5)
    tower.process.kill()
    tower.process.wait()
    until(lambda: refuses(tower.port), 1)
    until(lambda: not any(is_alive(pid) for pid in workers), 1)
    port = tower.port
    tower.seal("[web]\nPASSWORD = 1\n")
    tower.open(port=port)
    assert tower.port == port and tower.fetch(), "the port and the control socket are free"


def test_a_log_that_nobody_reads_stops_nobody(tower: Tower) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = tower.port = probe.getsockname()[1]
    tower.launch("--verbose", port=port, stderr=writer)
    until(lambda: not refuses(port))
    for _ in range(20):
        assert tower.fetch()
    assert tower.end() == 0
    os.close(reader)
    os.close(writer)


# ---- the service manager


def test_the_service_manager_hears_ready_reloading_watchdog_and_stopping(tower: Tower, tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    try:
        tower.open(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"})
        ready = "READY=1\nSTATUS=serving serial 1: 2 clients, 2 values"
        until(lambda: manager.heard)
        assert manager.heard == [ready], "and not before it is true"
        until(lambda: manager.heard.count("WATCHDOG=1") >= 3, 2)
        tower.seal("[web]\nPASSWORD = 1\n")
        assert tower.reload().returncode == 0
        (tower.folder / "definition.coffer").write_bytes(b"")
        assert tower.reload().returncode == 3
        assert tower.end() == 0
        until(lambda: "STOPPING=1" in manager.heard)
    finally:
        manager.close()
    said = [each for each in manager.heard if each != "WATCHDOG=1"]
    assert [each.partition("\n")[0] for each in said] == [
        "READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1",
    ]  # fmt: skip
    assert said[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[2].startswith("READY=1\nSTATUS=serving serial 2: ")
    assert said[4] == "READY=1\nSTATUS=reload refused, serial 2 keeps serving: definition.coffer: empty"


def test_a_start_that_fails_is_never_ready(tower: Tower, tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    try:
        (tower.folder / "definition.coffer").write_bytes(b"")
        tower.launch(env={"NOTIFY_SOCKET": manager.path})
        assert tower.process and tower.process.wait(10) == 3
    finally:
        manager.close()
    assert manager.heard == []


# ---- what others can read


@pytest.mark.plain  # under a sanitizer mlock does nothing
def test_every_process_is_kept_out_of_core_dumps_and_from_privileges(tower: Tower) -> None:
    tower.open("--workers", "2")
    assert tower.process
    for pid in (tower.process.pid, *tower.children):
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1"
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert int(status["VmLck"].split()[0]) > 0
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft == hard
        # A process that is not dumpable belongs to root, whoever runs it; root runs the tests mostly.
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    assert "memory could be locked" not in tower.read_log()


@pytest.mark.plain
@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), reason="needs setpriv")
def test_a_low_limit_of_locked_memory_is_one_clear_warning(tower: Tower) -> None:
    limit = ["prlimit", "--memlock=65536:65536"]
    bounded = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"] if os.geteuid() == 0 else []
    command = [*limit, *bounded, *tower.command("--workers", "2")]
    tower.command = lambda *_, **__: command  # type: ignore[method-assign]
    tower.open()
    tower.await_line("2 workers")
    warning = "warning: not all secret memory could be locked, it may be swapped; raise `ulimit -l`"
    until(lambda: warning in tower.read_log(), 2, tower.read_log)
    assert tower.read_log().count(warning) == 1
    assert tower.fetch()


def test_too_few_descriptors_is_one_clear_warning_and_the_cap_is_told(tower: Tower) -> None:
    command = ["prlimit", "--nofile=100:100", *tower.command()]
    tower.command = lambda *_, **__: command  # type: ignore[method-assign]
    tower.open()
    tower.await_line("at most 68 connections each")
    warning = "warning: the limit of 100 open files leaves room for 68 connections a worker (`ulimit -n`)"
    assert warning in tower.read_log()


def test_listeners_are_not_counted_as_room_for_connections(tower: Tower) -> None:
    """A full worker still has a descriptor for the table of a reload."""
    listen = [word for _ in range(40) for word in ("--listen", "127.0.0.1:0")]
    command = ["prlimit", "--nofile=100:100", *tower.command(*listen)]
    tower.command = lambda *_, **__: command  # type: ignore[method-assign]
    tower.open()
    tower.await_line("at most 29 connections each")


def test_no_secret_is_in_argv_environ_or_log(tower: Tower) -> None:
    tower.open("--verbose")
    for _ in range(3):
        tower.fetch()
        tower.fetch("worker")
    tower.reload()
    assert tower.process
    secrets = [line.split(":")[1].encode() for path in tower.folder.glob("*.key") for line in path.read_text().split()
               if line.startswith("coffer-secret-key-1:")]  # fmt: skip
    assert len(secrets) == 5
    for pid in (tower.process.pid, *tower.children):
        for name in ("cmdline", "environ"):
            said = Path(f"/proc/{pid}/{name}").read_bytes()
            assert said and not any(secret in said for secret in (*secrets, *(each.encode() for each in CANARIES)))
    log = tower.read_log().encode()
    assert not any(secret in log for secret in secrets)


def test_nothing_is_left_behind(tower: Tower) -> None:
    """No process, no file: a started and stopped server is as if it had never been."""
    before = {path for path in tower.folder.rglob("*") if not path.name.startswith("log-")}
    tower.open("--workers", "2")
    workers = tower.children
    tower.fetch()
    assert tower.end() == 0
    assert not any(is_alive(pid) for pid in workers)
    assert {path for path in tower.folder.rglob("*") if not path.name.startswith("log-")} == before
