"""What systemd and the server tell each other, without systemd: its sockets, its variables, its datagrams."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from coffer.errors import SettingsError
from coffer.server import systemd


@pytest.fixture
def first_fd(monkeypatch: pytest.MonkeyPatch) -> int:
    """As if systemd's descriptors began at this one, which is free, in this very process."""
    with socket.socket() as probe:
        free = probe.fileno()
    monkeypatch.setattr(systemd, "FIRST_FD", free)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    return free


def test_an_inherited_listener_does_not_block_and_is_not_handed_on(first_fd: int) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    assert given.fileno() == first_fd and given.getblocking()
    os.set_inheritable(given.detach(), True)
    (sock,) = systemd.inherited_listeners()
    with sock:
        assert not sock.getblocking() and not os.get_inheritable(sock.fileno())
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "variables", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": ""}, {"LISTEN_FDS": "all"}, {"LISTEN_FDS": "0"}]
)
def test_what_was_meant_for_another_is_left_alone(
    first_fd: int, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert systemd.inherited_listeners() == []


@pytest.mark.parametrize("kind", ["nothing", "file", "datagrams", "unix", "connected"])
def test_a_descriptor_that_is_no_listener_is_refused_by_its_number(first_fd: int, kind: str) -> None:
    given = {
        "nothing": lambda: -1,
        "file": lambda: os.memfd_create("x"),
        "datagrams": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach(),
        "unix": lambda: socket.socket(socket.AF_UNIX).detach(),
        "connected": lambda: socket.socket().detach(),
    }[kind]()
    with pytest.raises(SettingsError, match=rf"^\$LISTEN_FDS: descriptor {first_fd}: ") as caught:
        systemd.inherited_listeners()
    assert given in (-1, first_fd)
    if kind == "file":
        os.close(given)
    elif given >= 0:
        with pytest.raises(OSError):
            os.fstat(given)
    assert str(caught.value).endswith(
        {"nothing": "Bad file descriptor", "file": "Socket operation on non-socket"}.get(
            kind, "not a listening TCP socket"
        )
    )


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_reaches_the_service_manager(tmp_path: Path, abstract: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@coffer-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
        systemd.notify_reloading()
        first, second = manager.recv(100).split(b"\n")
        assert first == b"RELOADING=1" and second.startswith(b"MONOTONIC_USEC=")


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "relative", "@nobody-listens-here"])
def test_without_a_service_manager_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_hears_twice_in_its_time(
    variables: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds


def test_a_service_manager_that_does_not_listen_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        for _ in range(5_000):
            systemd.notify("WATCHDOG=1")
        assert manager.recv(64) == b"WATCHDOG=1"
