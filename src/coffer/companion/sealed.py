"""A sealed definition in a file: how the companion opens it, and puts the next one in its place.

Rule 1: what is sealed has been checked.
Rule 2: a file is replaced whole, and only while it still is what was read: two who write at once do not undo
        each other's work.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from coffer import definition, envelope, files
from coffer._core import Keypair
from coffer.companion.document import Document
from coffer.companion.keys import load_companion_key
from coffer.companion.reading import check_writable, is_sealed, name, read_definition
from coffer.companion.terminal import say
from coffer.errors import EnvelopeError, OperatorError
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from coffer.definition import Definition

SEALED_MODE = 0o644


class ChangedMeanwhileError(OperatorError):
    """The file is no longer what was read."""


@dataclass(frozen=True)
class Sealer:
    """Who seals, for which server, and how long a definition may be."""

    keypair: Keypair
    server: bytes
    limit_bytes: int = definition.LIMIT_BYTES

    def check(self, text: str | bytes, source: str) -> Definition:
        """Return the definition in ``text``, or raise DefinitionError; ``source`` names it in the findings."""
        return definition.parse(
            text,
            source=source,
            limit_bytes=self.limit_bytes,
            server=self.server,
            companion=self.keypair.public,
        )

    def armour(self, text: bytes, source: str, serial: int) -> tuple[bytes, Definition]:
        """Check and seal ``text``; return what is to be written, and what it holds. Raises OperatorError."""
        checked = self.check(text, source)
        if serial > envelope.SERIAL_LIMIT:
            raise EnvelopeError(f"{source}: after the last serial there is no other")
        return envelope.format_armour(envelope.seal(text, self.keypair, self.server, serial)), checked

    def seal(self, text: bytes, source: str, path: str, serial: int, replaces: bytes | None) -> Definition:
        """Check and seal ``text``, put it at ``path`` in place of the bytes ``replaces``, say and return what it holds.

        ``replaces`` is None for a new file. Raises DefinitionError and OperatorError; then nothing has changed.
        """
        armour, checked = self.armour(text, source, serial)
        _replace(path, armour, replaces)
        say(f"sealed {path}: {summary(checked)}, serial {serial}, {counted(len(armour), 'byte')}")
        return checked


class Sealed:
    """A sealed definition that its companion has opened: ``text`` is the TOML inside."""

    def __init__(self, path: str, raw: bytes, keypair: Keypair, limit_bytes: int = definition.LIMIT_BYTES) -> None:
        """Raises EnvelopeError unless ``keypair`` sealed what ``raw`` holds."""
        self.path = path
        self.envelope = envelope.parse_armour(raw, name(path))
        self.sealer = Sealer(keypair, self.envelope.server, limit_bytes)
        self.text = _decode(self.envelope.open_as_companion(keypair), name(path))
        self._raw = raw

    def definition(self) -> Definition:
        """Return what the text says. Raises DefinitionError."""
        return self.sealer.check(self.text, name(self.path))

    def document(self) -> Document:
        """Return the text, to be changed. Raises DefinitionError if it was sealed unchecked by something else."""
        self.definition()
        return Document(self.text)

    def replace(self, text: str, *, server: bytes | None = None) -> Definition:
        """Seal ``text`` with the next serial in place of what was read, for another server if one is given."""
        sealer = Sealer(self.sealer.keypair, server, self.sealer.limit_bytes) if server else self.sealer
        return sealer.seal(text.encode(), self.path, self.path, self.envelope.serial + 1, self._raw)


def load(options: Namespace) -> Sealed:
    """Open ``options.file``, which is to be replaced, with the companion's key. Raises OperatorError."""
    check_writable(options.file, "FILE")
    raw = read_definition(options.file, options.definition_limit)
    if not is_sealed(raw):
        raise EnvelopeError(
            f"{name(options.file)}: not sealed",
            "a plain definition is changed with any editor, and then sealed: coffer-companion seal",
        )
    return Sealed(options.file, raw, load_companion_key(options, options.file), options.definition_limit)


def load_any(options: Namespace, path: str) -> tuple[Definition, Sealed | None]:
    """Return the definition in a file, sealed or in clear, and what it was sealed in. Raises OperatorError."""
    raw = read_definition(path, options.definition_limit)
    if is_sealed(raw):
        sealed = Sealed(path, raw, load_companion_key(options, path), options.definition_limit)
        return sealed.definition(), sealed
    return definition.parse(raw, source=name(path), limit_bytes=options.definition_limit), None


def summary(checked: Definition) -> str:
    """Return how much a definition holds, in words."""
    values = sum(client.value_count for client in checked.clients.values())
    return f"{counted(len(checked.clients), 'client')}, {counted(values, 'value')}"


def _decode(text: bytes, source: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise EnvelopeError(f"{source}: what is sealed in it is not UTF-8") from None


def _replace(path: str, data: bytes, expected: bytes | None) -> None:
    with _directory_locked(path):
        found, mode = _current(path)
        if found != expected:
            raise ChangedMeanwhileError(
                f"{path}: somebody changed it meanwhile; it is left as they made it", "do it again"
            )
        files.save(path, data, mode=mode)


def _current(path: str) -> tuple[bytes | None, int]:
    """Return what is in the file now, None if there is none, and the mode it has or is to have."""
    try:
        with open(path, "rb") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None, SEALED_MODE
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None


@contextmanager
def _directory_locked(path: str) -> Iterator[None]:
    """Keep other companions from writing here: the lock is on the folder, and leaves no file behind."""
    directory = os.path.dirname(os.path.realpath(path))
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    try:
        # A file system without locks still has the comparison of what is there with what was read.
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
