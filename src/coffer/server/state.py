"""What a restart must not forget: which sealed definition was taken last (companion, serial, hash)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from coffer import files
from coffer.errors import OperatorError, SettingsError
from coffer.server.loader import Stamp

FILE_NAME = "last-definition.json"
LIMIT_BYTES = 4096


def load(directory: str) -> Stamp | None:
    """Return the stamp kept in ``directory``; None without one, or without a directory. Raises SettingsError."""
    path = os.path.join(directory, FILE_NAME)
    if not directory or not os.path.lexists(path):
        return None
    try:
        return _stamp(**json.loads(files.load(path, LIMIT_BYTES)))
    except (OperatorError, ValueError, TypeError):
        raise SettingsError(
            f"{path}: unreadable, so an older definition could not be told from a newer one",
            "remove it only if you know that the definition is the newest",
        ) from None


def _stamp(companion: str, serial: int, digest: str) -> Stamp:
    if type(serial) is not int or not isinstance(companion, str) or not isinstance(digest, str):
        raise TypeError("not what was saved")
    return Stamp(companion, serial, digest)


def save(directory: str, stamp: Stamp) -> None:
    """Keep the stamp in ``directory``, if there is one. Raises OperatorError."""
    if directory:
        files.save(os.path.join(directory, FILE_NAME), json.dumps(asdict(stamp)).encode() + b"\n")
