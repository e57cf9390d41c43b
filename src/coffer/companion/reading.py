"""How the companion reads what it is pointed at: a file, a pipe, or stdin, sealed or not."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys

from coffer import files
from coffer.envelope import BEGIN, armour_limit
from coffer.errors import OperatorError, SettingsError

STDIN = "-"
# Comment lines, and then the one that no TOML may hold there.
_begins_as_key = re.compile(rb"(?:#[^\n]*\n|[ \t\r]*\n)*coffer-(?:secret|locked)-key-").match


def read(path: str, limit_bytes: int) -> bytes:
    """Return all of a file, a pipe or, for ``-``, stdin. Raises OperatorError, for what is over the limit too."""
    if path == STDIN:
        return _bounded(_read_stdin(limit_bytes + 1), name(path), limit_bytes)
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):
            with open(path, "rb") as pipe:
                return _bounded(pipe.read(limit_bytes + 1), path, limit_bytes)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    return files.load(path, limit_bytes)


def read_definition(path: str, limit_bytes: int) -> bytes:
    """Return all of a definition, sealed or in clear; ``limit_bytes`` is that of its text. Raises as ``read`` does.

    A sealed one may be longer by as much as sealing adds. One in clear that is too long is left to its parser, which
    says so with a finding. A key file is refused here: no parser of definitions says what it is.
    """
    raw = read(path, armour_limit(limit_bytes))
    if is_key(raw):
        raise OperatorError(f"{name(path)}: a key file, not a definition", "name the definition, sealed or not")
    return raw


def name(path: str) -> str:
    """What to call ``path`` in a message."""
    return "stdin" if path == STDIN else path


def check_writable(path: str, argument: str) -> None:
    """Raise SettingsError for ``-`` where a file is written: it would be one of that name, hard to be rid of."""
    if path == STDIN:
        raise SettingsError(f"{argument}: - is for reading; this writes a file", "name the file")


def is_key(raw: bytes) -> bool:
    """Whether these bytes begin as a key file does; what is wrong with it is for the core to say."""
    return bool(_begins_as_key(raw))


def is_text(text: str) -> bool:
    """Whether UTF-8 can say it: what the system hands over, and JSON, may hold half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_sealed(raw: bytes) -> bool:
    """Whether these bytes claim to be a sealed definition; what they are otherwise is for the parser to say."""
    return raw.lstrip().startswith(BEGIN)


def _read_stdin(most_bytes: int) -> bytes:
    try:
        if sys.stdin is None:  # started with it closed
            raise OSError(errno.EBADF, "closed")
        return sys.stdin.buffer.read(most_bytes)
    except OSError as error:
        raise OperatorError(f"{name(STDIN)}: {error.strerror}", "give it a file or a pipe to read") from None


def _bounded(data: bytes, source: str, limit_bytes: int) -> bytes:
    if len(data) > limit_bytes:
        raise OperatorError(f"{source}: over {limit_bytes:,} bytes")
    return data
