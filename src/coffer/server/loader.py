"""The loader: a short-lived child that turns a sealed definition into a table, and ends.

No Python string that holds a secret ever exists in a process that lives on: the text is opened, parsed,
encoded and sealed under the locker here, and what goes back is a memfd and a verdict without values.

Rule 1: everything is checked before anything is handed over; a refusal leaves the old table serving.
Rule 2: work is bounded: processor seconds and memory grow with the text, and no further.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
from dataclasses import asdict, dataclass

from coffer import definition, files
from coffer._core import TableWriter
from coffer.envelope import Envelope, armour_limit, parse_armour
from coffer.errors import CofferError, DefinitionError, OperatorError
from coffer.identity import format_id
from coffer.program import counted
from coffer.server import child, table
from coffer.server.state import Stamp, check_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer._core import Keypair, Locker
    from coffer.definition import Definition
    from coffer.server.settings import Settings

NICENESS = 19
CPU_SECONDS = 10
CPU_STEP_BYTES = 8 << 20
MEMORY_BYTES = 1 << 30
MEMORY_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the loader says of a table that can be served."""

    stamp: Stamp
    clients: int
    values: int
    unchanged: bool
    advice: list[str]

    def __str__(self) -> str:
        return f"serial {self.stamp.serial}: {counted(self.clients, 'client')}, {counted(self.values, 'value')}"


class Loader:
    """One load under way: a child process, the memfd it fills, and the pipe it reports on."""

    def __init__(
        self,
        settings: Settings,
        keypairs: tuple[Keypair, ...],
        locker: Locker,
        last: Stamp | None,
        *,
        advise: bool = False,
    ) -> None:
        """Start the child. ``last`` is the newest definition taken so far, None when there is none; with
        ``advise`` it also looks for what works and will surprise somebody. Raises OperatorError.
        """
        self._definition = settings.definition
        self._said = b""
        self._table_fd = self.pipe = report = -1
        try:
            self._table_fd = table.make()
            self.pipe, report = os.pipe2(os.O_CLOEXEC)
            work = _Work(settings, keypairs, locker, last, advise)
            self._pid = child.fork(lambda: _run_child(work, self._table_fd, report))
        except OSError as error:
            self.let_go()
            raise OperatorError(f"{self._definition}: the loader cannot start: {error.strerror}") from None
        finally:
            _close(report)

    def read(self) -> bool:
        """Take what the child has reported so far; False once it has ended."""
        said = os.read(self.pipe, 65536)
        self._said += said
        return bool(said)

    def let_go(self) -> None:
        """Close what belongs to this load; in another child, that is all there is to do."""
        _close(self.pipe)
        _close(self._table_fd)

    def stop(self) -> None:
        """End the load, whatever has become of it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self.let_go()

    def finish(self) -> tuple[Loaded, int]:
        """After ``read`` was False: return what was loaded and the memfd of its table.

        Raises OperatorError with the child's reason, or with the limit it died of.
        """
        os.close(self.pipe)
        _, status = os.waitpid(self._pid, 0)
        try:
            loaded = self._verdict(os.waitstatus_to_exitcode(status))
        except CofferError:
            os.close(self._table_fd)
            raise
        return loaded, self._table_fd

    def _verdict(self, code: int) -> Loaded:
        if code == -signal.SIGXCPU:
            raise DefinitionError(f"{self._definition}: took more processor time than its size allows")
        if code or not self._said:
            raise DefinitionError(f"{self._definition}: the loader died ({child.name_end(code)})")
        said = json.loads(self._said)
        if "refused" in said:
            raise OperatorError(said["refused"], said["hint"], exit_code=said["code"])
        return Loaded(Stamp(**said.pop("stamp")), **said)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class _Work:
    """What the child is to load, and with what."""

    settings: Settings
    keypairs: tuple[Keypair, ...]
    locker: Locker
    last: Stamp | None
    advise: bool


def _run_child(work: _Work, table_fd: int, report: int) -> int:
    """In the child. Nothing of the master's stays open here, so that its port and its channels end with it."""
    child.keep_only(table_fd, report)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # but not HUP: `pkill -HUP` means the master
    for keypair in work.keypairs:
        keypair.relock()
    work.locker.relock()
    os.nice(NICENESS)
    try:
        said = _load(work, table_fd)
    except CofferError as error:
        said = {"refused": str(error), "hint": error.hint, "code": error.exit_code}
    except MemoryError:
        said = _refusal(work, "needs more memory than its size allows")
    except OSError as error:
        said = _refusal(work, f"{error.strerror}")
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(report, json.dumps(said).encode())
    return 0


def _refusal(work: _Work, why: str) -> dict[str, object]:
    return {"refused": f"{work.settings.definition}: {why}", "hint": None, "code": DefinitionError.exit_code}


def _load(work: _Work, table_fd: int) -> dict[str, object]:
    settings = work.settings
    envelope = load_envelope(settings)
    text = open_envelope(envelope, work.keypairs, settings)
    stamp = Stamp(format_id(envelope.companion), envelope.serial, envelope.digest.hex())
    unchanged = check_stamp(settings.definition, stamp, work.last)
    parsed = _parse(text, envelope, work)
    values = _write_table(parsed, envelope.serial, work.locker, table_fd)
    return {
        "stamp": asdict(stamp),
        "clients": len(parsed.clients),
        "values": values,
        "unchanged": unchanged,
        "advice": _advise(parsed, text, settings.definition) if work.advise else [],
    }


def load_envelope(settings: Settings) -> Envelope:
    """Return the sealed definition that the settings name, its armour taken off. Raises OperatorError.

    From here on this process has the limits of a definition of that size.
    """
    raw = files.load(settings.definition, armour_limit(settings.definition_limit))
    _limit(len(raw) * 3 // 4)
    return parse_armour(raw, settings.definition)


def open_envelope(envelope: Envelope, keypairs: tuple[Keypair, ...], settings: Settings) -> bytes:
    """Return the definition's text, opened with whichever keypair it was sealed for. Raises EnvelopeError."""
    keypair = next((each for each in keypairs if each.public == envelope.server), keypairs[0])
    return envelope.open_as_server(keypair, settings.companion)


def _limit(size: int) -> None:
    with open("/proc/self/statm", "rb") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    seconds = CPU_SECONDS * max(1, -(-size // CPU_STEP_BYTES))
    # The kernel asks about the hard limit first, and that one has no name: it kills.
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    memory = mapped + MEMORY_BYTES + MEMORY_FACTOR * size
    _lower(resource.RLIMIT_AS, memory, memory)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, unless there is a lower one already."""
    old_soft, old_hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (_lesser(soft, old_soft), _lesser(hard, old_hard)))


def _lesser(new: int, old: int) -> int:
    return new if old == resource.RLIM_INFINITY else min(new, old)


def _parse(text: bytes, envelope: Envelope, work: _Work) -> Definition:
    companions = dict.fromkeys(work.settings.companion, "another companion of this server")
    keys = {keypair.public: "the server, under its other key" for keypair in work.keypairs}
    return definition.parse(
        text,
        source=work.settings.definition,
        limit_bytes=work.settings.definition_limit,
        server=envelope.server,
        companion=envelope.companion,
        others=companions | keys,
    )


def _write_table(parsed: Definition, serial: int, locker: Locker, fd: int) -> int:
    """Fill and seal the memfd; return how many values there are."""
    writer = TableWriter(locker, serial)
    values = 0
    for client in parsed.clients.values():
        writer.add(client.name, client.ids, client.encoded)
        values += client.value_count
    writer.write(fd)
    table.seal(fd)
    return values


def _advise(parsed: Definition, text: bytes, source: str) -> list[str]:
    """Return what ``coffer-companion check`` would print."""
    from coffer.lint import format_lines, lint

    return [line for advice in lint(parsed, text.decode(), source) for line in format_lines(advice)]
