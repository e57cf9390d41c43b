"""What lies on disk once the programs have done their work: sealed definitions and key files, and no value anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .fleet import Fleet
from .memory import Needles
from .serving import SCRIPTS, Server

WRITES = re.compile(r'^\d+ +open(?:at)?\([^"]*"([^"]*)", [A-Z_|]*(?:O_WRONLY|O_RDWR|O_CREAT)', re.MULTILINE)
HARMLESS = ("/dev/null", "/dev/tty")


def needles(fleet: Fleet) -> Needles:
    keys = {"server key": fleet.server, "companion key": fleet.companion}
    return Needles({"canary": fleet.canary, "value": fleet.canary.hex().encode()} | keys | fleet.clients)


def test_no_file_of_a_server_holds_a_value_or_another_key(fleet: Fleet) -> None:
    state = fleet.folder / "state"
    state.mkdir()
    with Server(fleet, "--verbose", "--state-dir", state) as server:
        assert server.fetch()["flavour"] == "dawn"
        fleet.publish(fleet.seal(fleet.text("dusk")))
        assert server.reload().returncode == 0 and server.fetch()["flavour"] == "dusk"
        fleet.publish(b"a definition by mistake: " + fleet.text("dawn").encode())
        assert server.reload().returncode != 0
        fleet.publish(fleet.seal(fleet.text("dusk")))
        server.check_sound()
    files = [path for path in fleet.folder.rglob("*") if path.is_file()]
    assert {"server.log", "definition.coffer", "last-definition.json"} <= {path.name for path in files}
    files.remove(fleet.key)
    assert [find for path in files for find in needles(fleet).find(path.read_bytes(), path.name)] == []
    assert list(needles(fleet).find(fleet.key.read_bytes(), "the key file")), "the look finds what is there"


@pytest.mark.plain  # the environment is nearly empty, without the sanitizers' runtime too
@pytest.mark.skipif(shutil.which("strace") is None, reason="without strace nobody sees which files are opened")
@pytest.mark.parametrize("verb", [["get", "password"], ["run", "--", "true"], ["ping"]], ids=lambda verb: verb[0])
def test_a_client_writes_no_file(fleet: Fleet, verb: list[str]) -> None:
    trace = fleet.folder / "trace"
    with Server(fleet) as server:
        flags = ["--server", server.url, "--key", fleet.write_key("client-0")]
        program = [SCRIPTS / "coffer-client", verb[0], *flags, *verb[1:]]
        watched = ["strace", "-f", "-qq", "-e", "trace=open,openat,creat,memfd_create", "-o", trace, *program]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(watched, check=True, capture_output=True, env=environment, timeout=60)
    calls = trace.read_text()
    assert "O_RDONLY" in calls and "creat(" not in calls and "memfd_create(" not in calls
    assert [path for path in WRITES.findall(calls) if path not in HARMLESS] == []


def test_a_look_for_files_that_are_written_would_see_one(tmp_path: Path) -> None:
    line = f'12  openat(AT_FDCWD, "{tmp_path}", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 3\n'
    assert WRITES.findall(line) == [str(tmp_path)]
    assert WRITES.findall(line.replace("O_WRONLY|O_CREAT|O_TRUNC", "O_RDONLY")) == []
