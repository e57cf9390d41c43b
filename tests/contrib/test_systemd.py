"""The units of contrib/systemd: what they promise of the server, checked with systemd's own tools and with strace."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service import BIN, Service, children
from unit import FOLDER, INSTALLED, Unit

MOST_EXPOSURE = 2.5
WORST_STOP_SECONDS = 15 + 1


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"without {', '.join(missing)} this cannot be told")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.end()


@needs("systemd-analyze")
def test_the_service_exposes_at_most_what_it_promises() -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(FOLDER / "coffer-server.service")]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", said)
    assert found and float(found[1]) <= MOST_EXPOSURE


@needs("systemd-analyze")
def test_systemd_reads_every_line_of_the_units(tmp_path: Path) -> None:
    copies = []
    for path in sorted(FOLDER.iterdir()):
        copies.append(tmp_path / path.name)
        copies[-1].write_text(path.read_text().replace(INSTALLED, f"{BIN}/"))
    done = subprocess.run(["systemd-analyze", "verify", *copies], capture_output=True, text=True)
    about_us = [line for line in done.stderr.splitlines() if "coffer" in line]
    assert len(copies) >= 2 and not about_us and done.returncode == 0


def test_the_service_lets_systemd_wait_for_as_long_as_sessions_may_last() -> None:
    assert int(Unit("coffer-server.service").one("TimeoutStopSec")) > WORST_STOP_SECONDS


def test_the_service_is_told_of_every_step_and_of_every_verdict(service: Service) -> None:
    service.start()
    assert service.heard[-1].startswith("READY=1\nSTATUS=serving serial 1")
    assert "hello from coffer" in service.fetch()
    service.seal()
    assert service.reload() == 0
    assert service.wait_for("RELOADING=1").startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert "serial 2" in service.wait_for("READY=1")
    service.sealed.write_text("not sealed")
    assert service.reload() == 3
    assert "reload refused, serial 2 keeps serving" in service.wait_for("READY=1")
    service.wait_for("WATCHDOG=1")
    assert service.stop() == 0
    service.wait_for("STOPPING=1")


@pytest.mark.plain
@needs("systemd-analyze", "strace")
def test_no_call_of_a_whole_life_is_outside_the_filter(service: Service) -> None:
    trace = ("strace", "-f", "-qq", "-e", "signal=none", "-A", "-o", str(service.folder / "trace"))
    service.start(*trace)
    assert "hello from coffer" in service.fetch()
    service.seal()
    assert service.reload(*trace) == 0
    service.sealed.write_text("not sealed")
    assert service.reload(*trace) == 3
    os.kill(service.master, signal.SIGHUP)
    service.wait_for_line(r"(?s)refused.*refused")
    os.kill(children(service.master)[0], signal.SIGKILL)
    service.wait_for_line("a worker died")
    service.wait_for("WATCHDOG=1")
    assert "hello from coffer" in service.fetch()
    assert service.stop() == 0
    called = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", (service.folder / "trace").read_text(), re.MULTILINE))
    assert {"memfd_create", "mlock", "accept4", "setpriority", "execve"} <= called
    assert called - service.unit.allowed_calls() == set()


ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], os.environ | {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
"""


def by_hand(service: Service, listener: socket.socket) -> list[str]:
    """What sd_listen_fds(3) wants, done by a few lines."""
    os.set_inheritable(listener.fileno(), True)
    return [sys.executable, "-c", ACTIVATE, str(listener.fileno()), *service.command("ExecStart")]


def by_systemd(service: Service, listener: socket.socket) -> list[str]:
    port = listener.getsockname()[1]
    listener.close()
    passed = [f"--setenv={name}" for name in service.environment]
    return ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", *passed, *service.command("ExecStart")]


@pytest.mark.parametrize("activate", [by_hand, pytest.param(by_systemd, marks=needs("systemd-socket-activate"))])
def test_the_server_serves_on_the_sockets_that_systemd_holds(
    service: Service, activate: Callable[[Service, socket.socket], list[str]]
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    service.log = (service.folder / "log").open("w+")
    command = activate(service, listener)
    service.process = subprocess.Popen(command, env=service.environment, stderr=service.log, close_fds=False)
    listener.close()
    for _ in range(5):
        assert "hello from coffer" in service.fetch(address)
    assert service.wait_for_line(r"listening on (\S+)")[1] == address
    assert service.stop() == 0
    assert "took too long" not in (service.folder / "log").read_text()


def test_the_example_hands_a_program_its_secrets_and_becomes_it(service: Service) -> None:
    service.start()
    unit = Unit("example-client.service")
    address = service.wait_for_line(r"listening on (\S+)")[1]
    name, _, example = unit.one("Environment").partition("=")
    server = example.replace("SERVER-ID", service.id("server")).replace("coffer.internal:26333", address)
    keys = {"CREDENTIALS_DIRECTORY": str(service.folder / "made")}
    command = unit.command("ExecStart", BIN, keys)
    command[command.index("--") + 1 :] = ["sh", "-c", 'echo "$$ $GREETING"']
    program = subprocess.Popen(command, env=os.environ | keys | {name: server}, stdout=subprocess.PIPE, text=True)
    assert program.communicate()[0] == f"{program.pid} hello from coffer\n"


def test_what_cannot_be_remembered_is_not_served(service: Service) -> None:
    service.start()
    state = Path(service.environment["STATE_DIRECTORY"])
    state.rename(state.with_suffix(".gone"))
    service.seal()
    assert service.reload() == 78
    assert "hello from coffer" in service.fetch()
    state.with_suffix(".gone").rename(state)
    assert service.reload() == 0
    service.wait_for_line("serving serial 2")
    assert service.stop() == 0
