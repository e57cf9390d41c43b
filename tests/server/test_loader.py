"""The loader: what it makes of a definition, what it refuses, and the limits it dies of."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer._core import Keypair, Locker
from coffer.envelope import format_armour, seal
from coffer.errors import CofferError
from coffer.identity import format_id
from coffer.server import child, loader, table
from coffer.server.loader import Loaded, Loader
from coffer.server.settings import Settings
from coffer.server.state import Stamp

SERVER, OLD_SERVER, COMPANION, OTHER_COMPANION, CLIENT = (Keypair.generate() for _ in range(5))
COMPANIONS = frozenset({COMPANION.public, OTHER_COMPANION.public})
SECRET = "canary-3b7c-never-seen"
GOOD = f'[clients]\nweb = "{format_id(CLIENT.public)}"\n[web]\nPASSWORD = "{SECRET}"\nPORT = 1\n'
LOCKER = Locker()

Settle = Callable[..., Settings]


@pytest.fixture
def settings(tmp_path: Path) -> Settle:
    """Write a sealed definition and return the settings that name it."""

    def settings(
        text: str | bytes = GOOD, *, serial: int = 1, companion: Keypair = COMPANION, server: Keypair = SERVER,
        limit: int = 64 << 20, name: str = "d",
    ) -> Settings:  # fmt: skip
        raw = text if isinstance(text, bytes) else format_armour(seal(text.encode(), companion, server.public, serial))
        (tmp_path / "d").write_bytes(raw)
        return Settings(
            key=(), companion=COMPANIONS, definition=str(tmp_path / name), listen=(), workers=1,
            verbose=False, reload_on_change=False, run_dir="", state_dir="", definition_limit=limit,
            max_connections=1, max_connections_per_source=0, failing_hellos_per_source=(0.0, 0.0),
        )  # fmt: skip

    return settings


def load(settings: Settings, last: Stamp | None = None, **options: bool) -> tuple[Loaded, table.Table]:
    started = Loader(settings, (SERVER, OLD_SERVER), LOCKER, last, **options)
    while started.read():
        pass
    loaded, fd = started.finish()
    try:
        return loaded, table.map_sealed(fd, LOCKER)
    finally:
        os.close(fd)


def refusal(settings: Settings, last: Stamp | None = None) -> CofferError:
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CofferError) as caught:
        load(settings, last)
    assert SECRET not in str(caught.value) + str(caught.value.hint)
    assert len(os.listdir("/proc/self/fd")) == descriptors, "nothing is left open"
    return caught.value


def test_a_good_definition_becomes_a_table(settings: Settle) -> None:
    loaded, made = load(settings(serial=7))
    assert str(loaded) == "serial 7: 1 client, 2 values"
    assert loaded.stamp.companion == format_id(COMPANION.public) and not loaded.unchanged
    assert made.serial == 7 and made.find(CLIENT.public).name == "web" and made.find(SERVER.public) is None


def test_one_sealed_for_the_other_key_of_a_rotation_is_taken_too(settings: Settle) -> None:
    assert load(settings(server=OLD_SERVER))[0].clients == 1


@pytest.mark.parametrize("name", ["gone", "."])
def test_what_is_no_readable_file_is_78(settings: Settle, name: str) -> None:
    error = refusal(settings(name=name))
    assert error.exit_code == 78
    assert str(error).endswith(": No such file or directory" if name == "gone" else ": not a regular file")


def test_a_fifo_is_refused_and_not_waited_for(settings: Settle, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert str(refusal(settings(name="fifo"))).endswith(": not a regular file")


def test_every_cut_of_a_sealed_definition_is_refused(settings: Settle, tmp_path: Path) -> None:
    settings()
    whole = (tmp_path / "d").read_bytes()
    for size in [0, 1, 33, *range(34, len(whole) - 2, 97), len(whole) - 2]:
        assert refusal(settings(whole[:size])).exit_code == 3, size


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"companion": CLIENT}, f": sealed by companion {format_id(CLIENT.public)}, whom nobody told us to trust"),
        ({"server": CLIENT}, f": sealed for server {format_id(CLIENT.public)}, not for this one"),
        ({"text": GOOD + "["}, "line"),
        (
            {"text": GOOD.replace(format_id(CLIENT.public), format_id(OLD_SERVER.public))},
            ": [clients] web: the id of the server, under its other key",
        ),
        (
            {"text": GOOD.replace(format_id(CLIENT.public), format_id(OTHER_COMPANION.public))},
            ": [clients] web: the id of another companion of this server",
        ),
        ({"text": GOOD + f"LARGE = '{'x' * 65536}'\n"}, "65,"),
        ({"limit": 40}, " over the limit of 40"),
        ({"text": b""}, ": empty"),
    ],
)
def test_each_bad_definition_is_refused_in_its_own_words(settings: Settle, options: dict, reason: str) -> None:
    error = refusal(settings(**options))
    assert error.exit_code == 3 and reason in str(error)


def test_who_sealed_it_is_asked_before_which_serial_it_has(settings: Settle) -> None:
    last = Stamp(format_id(COMPANION.public), 9, "")
    assert "whom nobody told us to trust" in str(refusal(settings(companion=CLIENT), last))


def test_a_lower_serial_is_refused_with_the_way_back(settings: Settle) -> None:
    error = refusal(settings(serial=3), Stamp(format_id(COMPANION.public), 4, ""))
    assert str(error).endswith(": serial 3 is older than 4, which was served last")
    assert error.hint == (
        "to go back on purpose, seal the old text anew: coffer-companion open OLD --key companion.key |"
        " coffer-companion seal - --key companion.key --server ID -o FILE"
    )
    assert "--new" in str(refusal(settings(serial=3), Stamp("another", 4, "")).hint)


def test_an_equal_serial_is_taken_only_with_the_same_bytes(settings: Settle) -> None:
    wanted = settings(serial=5)
    first, _ = load(wanted)
    again, _ = load(wanted, first.stamp)
    assert again.unchanged and again.stamp == first.stamp
    error = refusal(settings(serial=5), first.stamp)
    assert str(error).endswith(": serial 5 was served before with other contents")
    assert error.hint == "two people sealed at once: seal again, over the newest file"


def test_a_bomb_of_processor_time_is_refused_by_that_name(settings: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "CPU_SECONDS", 1)

    def spin(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(loader, "_parse", spin)
    error = refusal(settings())
    assert str(error).endswith(": took more processor time than its size allows") and error.exit_code == 3


def test_a_bomb_of_memory_is_refused_by_that_name(settings: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_parse", lambda *_: bytearray(2 << 30))
    assert str(refusal(settings())).endswith(": needs more memory than its size allows")


def test_limits_are_those_of_the_size_and_never_above_those_there_are(
    settings: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()

    def work() -> int:
        before = resource.getrlimit(resource.RLIMIT_AS)
        assert before == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        loader._limit((8 << 20) + 1)
        cpu, memory = resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_AS)
        loader._lower(resource.RLIMIT_CPU, 100, 100)
        assert resource.getrlimit(resource.RLIMIT_CPU) == cpu
        os.write(writer, f"{cpu[0]} {cpu[1]} {memory[0] > (1 << 30) + 10 * (8 << 20)}".encode())
        return 0

    _, status = os.waitpid(child.fork(work), 0)
    assert status == 0
    assert os.read(reader, 100) == b"20 21 True"
    for fd in (reader, writer):
        os.close(fd)


def test_a_loader_that_is_killed_or_crashes_is_a_refusal_that_says_so(
    settings: Settle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loader, "_parse", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert str(refusal(settings())).endswith(": the loader died (SIGKILL)")
    monkeypatch.setattr(loader, "_parse", lambda *_: {}[SECRET])
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    assert str(refusal(settings())).endswith(": the loader died (exit code 70)")
    assert SECRET not in capfd.readouterr().err


def test_a_loader_without_room_is_a_refusal(settings: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table, "seal", full)
    assert str(refusal(settings())).endswith(": No space left on device")


def test_a_loader_that_cannot_be_forked_is_a_refusal(settings: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(act: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(child, "fork", fail)
    error = refusal(settings())
    assert str(error).endswith(": the loader cannot start: Resource temporarily unavailable")


def test_the_loader_is_nice_holds_nothing_of_its_parents_and_hears_no_hangup(
    settings: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_parse", lambda *_: time.sleep(60))
    with open("/proc/self/status") as held:
        started = Loader(settings(), (SERVER,), LOCKER, None)
        about = Path(f"/proc/{started._pid}")
        limit = time.monotonic() + 5
        while int((about / "stat").read_text().rpartition(")")[2].split()[16]) != 19:
            assert time.monotonic() < limit
        open_ones = {os.path.basename(name) for name in os.listdir(about / "fd")}
        assert str(held.fileno()) not in open_ones and len(open_ones) <= 6
        ignored = int(next(line for line in (about / "status").read_text().splitlines() if "SigIgn" in line)[8:], 16)
        assert ignored >> signal.SIGHUP - 1 & 1
        began = time.monotonic()
        started.stop()
    assert time.monotonic() - began < 2 and not about.exists()


@pytest.mark.plain  # under a sanitizer mlock does nothing
def test_the_keys_are_locked_in_the_memory_of_the_loader_too(
    settings: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "load_envelope", lambda *_: time.sleep(60))
    started = Loader(settings(), (SERVER,), LOCKER, None)
    status = Path(f"/proc/{started._pid}/status")
    limit = time.monotonic() + 5
    try:
        while not int(re.search(r"VmLck:\s+([0-9]+)", status.read_text())[1]):
            assert time.monotonic() < limit
    finally:
        started.stop()


def test_advice_comes_from_the_child_without_a_value(settings: Settle) -> None:
    loaded, _ = load(settings(GOOD + 'TOKEN = "changeme"\n'), advise=True)
    line, hint = loaded.advice
    assert line.endswith(" (placeholder)") and hint.startswith("  hint: ")
    assert "changeme" not in line + hint
    assert load(settings(serial=2))[0].advice == []


# ---- the table between processes


def test_a_table_that_somebody_could_still_change_is_not_mapped() -> None:
    fd = table.make()
    with pytest.raises(ValueError, match="not sealed"):
        table.map_sealed(fd, LOCKER)
    table.seal(fd)
    with pytest.raises(PermissionError):
        os.write(fd, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1)
    os.close(fd)
