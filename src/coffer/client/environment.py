"""The environment a command is given: the caller's, without what is coffer's or Python's, and the secrets.

Not here: which names a shard may set (``coffer.environment``), and starting the command (``run``).

Rule 1: everything is bytes from here on. A value reaches the command byte for byte, whatever the locale.
"""

from __future__ import annotations

import os

from coffer.environment import OWN_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OWN_PREFIX_BYTES = OWN_PREFIX.encode()
COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")


def inherit() -> dict[bytes, bytes]:
    """Return the caller's environment without coffer's settings, as it was before Python started."""
    kept = {name: value for name, value in os.environb.items() if not name.startswith(OWN_PREFIX_BYTES)}
    if kept.get(b"LC_CTYPE") in COERCED:
        _restore_locale(kept)
    return kept


def narrow(environment: dict[bytes, bytes], globs: Sequence[str]) -> dict[bytes, bytes]:
    """Return those variables whose names one of the patterns matches: ``*``, ``?`` and ``[…]``, case counts."""
    from fnmatch import fnmatchcase

    patterns = [os.fsencode(glob) for glob in globs]
    return {name: value for name, value in environment.items() if any(fnmatchcase(name, each) for each in patterns)}


def add(environment: dict[bytes, bytes], texts: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return ``environment`` with the secrets in it; a name that is there already gets the new value."""
    return environment | {name.encode(): text.encode("utf-8", "surrogateescape") for name, text in texts.items()}


def _restore_locale(environment: dict[bytes, bytes]) -> None:
    """Undo PEP 538: in the C locale Python sets LC_CTYPE, which nobody asked the command to be given."""
    try:
        with open("/proc/self/environ", "rb") as file:
            first = dict(each.partition(b"=")[::2] for each in file.read().split(b"\0") if each)
    except OSError:
        return
    if b"LC_CTYPE" in first:
        environment[b"LC_CTYPE"] = first[b"LC_CTYPE"]
    else:
        del environment[b"LC_CTYPE"]
