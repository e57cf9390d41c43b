"""The loader: a short-lived child that turns a sealed definition into a table, and ends.

No Python string that holds a secret ever exists in a process that lives on: the text is opened, parsed,
encoded and sealed under the locker here, and what goes back is a memfd and a verdict without values.

Rule 1: everything is checked before anything is handed over; a refusal leaves the old table serving.
Rule 2: work is bounded: processor seconds and memory grow with the text, and no further.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from dataclasses import dataclass
from itertools import pairwise

from coffer import definition, files
from coffer._core import TableWriter
from coffer.envelope import Envelope, parse_armour
from coffer.errors import CofferError, DefinitionError, EnvelopeError
from coffer.identity import format_id
from coffer.server import table
from coffer.server.log import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from coffer._core import Keypair, Locker
    from coffer.server.settings import Settings

NICENESS = 19
CPU_SECONDS = 10
CPU_STEP_BYTES = 8 << 20
MEMORY_BYTES = 1 << 30
MEMORY_FACTOR = 10
# Base64, line ends and the two armour lines around a text of the largest size.
ARMOUR_FACTOR = 1.4
ARMOUR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which sealed definition was taken last: what a later one is measured against."""

    companion: str
    serial: int
    digest: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the loader says of a table that can be served."""

    stamp: Stamp
    clients: int
    values: int
    unchanged: bool


class Loader:
    """One load under way: a child process, the memfd it fills, and the pipe it reports on."""

    def __init__(self, settings: Settings, keypairs: tuple[Keypair, ...], locker: Locker, last: Stamp | None) -> None:
        """Start the child. ``last`` is the newest definition taken so far, None when there is none."""
        self._table_fd = table.make()
        self.pipe, report = os.pipe2(os.O_CLOEXEC)
        self._said = b""
        self._definition = settings.definition
        self._pid = os.fork()
        if not self._pid:
            os.close(self.pipe)
            _run_child(settings, keypairs, locker, last, self._table_fd, report)
        os.close(report)

    def read(self) -> bool:
        """Take what the child has reported so far; False once it has ended."""
        said = os.read(self.pipe, 65536)
        self._said += said
        return bool(said)

    def let_go(self) -> None:
        """In another child: close what belongs to this load."""
        os.close(self.pipe)
        os.close(self._table_fd)

    def finish(self) -> tuple[Loaded, int]:
        """After ``read`` was False: return what was loaded and the memfd of its table.

        Raises EnvelopeError or DefinitionError with the child's reason, or with the limit it died of.
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
        if code < 0 or not self._said:
            raise DefinitionError(f"{self._definition}: the loader died ({_name_exit(code)})")
        said = json.loads(self._said)
        if "refused" in said:
            raise DefinitionError(said["refused"], said["hint"])
        return Loaded(Stamp(**said.pop("stamp")), **said)


def _name_exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _run_child(settings: Settings, keypairs: tuple[Keypair, ...], locker: Locker, last: Stamp | None,
               table_fd: int, report: int) -> NoReturn:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    _close_others(table_fd, report)
    os.nice(NICENESS)
    try:
        said = _load(settings, keypairs, locker, last, table_fd)
    except CofferError as error:
        said = {"refused": str(error), "hint": error.hint}
    except MemoryError:
        said = {"refused": f"{settings.definition}: needs more memory than its size allows", "hint": None}
    os.write(report, json.dumps(said).encode())
    os._exit(0)


def _close_others(*own: int) -> None:
    """Close what was inherited: held here, it would keep port and workers alive when the master is killed."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for low, high in pairwise((STDERR, *sorted(own), limit)):
        os.closerange(low + 1, high)


def _load(settings: Settings, keypairs: tuple[Keypair, ...], locker: Locker, last: Stamp | None,
          table_fd: int) -> dict[str, object]:
    envelope = load_envelope(settings)
    stamp = Stamp(format_id(envelope.companion), envelope.serial, envelope.digest.hex())
    unchanged = check_stamp(settings.definition, stamp, last)
    _limit(len(envelope.sealed))
    text = open_envelope(envelope, keypairs, settings)
    clients, values = _write_table(text, envelope, settings, locker, table_fd)
    table.seal(table_fd)
    return {
        "stamp": {"companion": stamp.companion, "serial": stamp.serial, "digest": stamp.digest},
        "clients": clients,
        "values": values,
        "unchanged": unchanged,
    }


def load_envelope(settings: Settings) -> Envelope:
    """Return the sealed definition that the settings name, its armour taken off. Raises EnvelopeError."""
    limit = int(settings.definition_limit * ARMOUR_FACTOR) + ARMOUR_BYTES
    return parse_armour(files.load(settings.definition, limit), settings.definition)


def open_envelope(envelope: Envelope, keypairs: tuple[Keypair, ...], settings: Settings) -> bytes:
    """Return the definition's text, opened with whichever keypair it was sealed for. Raises EnvelopeError."""
    keypair = next((each for each in keypairs if each.public == envelope.server), keypairs[0])
    return envelope.open_as_server(keypair, settings.companion)


def check_stamp(source: str, stamp: Stamp, last: Stamp | None) -> bool:
    """Refuse a definition older than the last one; return whether it is that very one. Raises EnvelopeError."""
    if last is None or stamp.serial > last.serial:
        return False
    if stamp.serial < last.serial:
        raise EnvelopeError(
            f"{source}: serial {stamp.serial} is older than {last.serial}, which was served last",
            "to go back on purpose, seal the old text anew: coffer-companion open OLD --key companion.key |"
            " coffer-companion seal - --key companion.key --server ID -o FILE",
        )
    if stamp.digest != last.digest:
        raise EnvelopeError(
            f"{source}: serial {stamp.serial} was served before with other contents",
            "two people sealed at once: seal again, over the newest file",
        )
    return True


def _limit(size: int) -> None:
    with open("/proc/self/statm", "rb") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    seconds = CPU_SECONDS * -(-size // CPU_STEP_BYTES)
    memory = mapped + MEMORY_BYTES + MEMORY_FACTOR * size
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _write_table(text: bytes, envelope: Envelope, settings: Settings, locker: Locker, fd: int) -> tuple[int, int]:
    parsed = definition.parse(
        text,
        source=settings.definition,
        limit_bytes=settings.definition_limit,
        server=envelope.server,
        companion=envelope.companion,
    )
    writer = TableWriter(locker, envelope.serial)
    values = 0
    for client in parsed.clients.values():
        writer.add(client.name, client.ids, client.encoded)
        values += client.values
    writer.write(fd)
    return len(parsed.clients), values
