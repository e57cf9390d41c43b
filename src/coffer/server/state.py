"""What a restart must not forget: which sealed definition was taken last, and which may come after it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from coffer import files
from coffer.errors import EnvelopeError, OperatorError, SettingsError

FILE_NAME = "last-definition.json"
LIMIT_BYTES = 4096
GO_BACK_HINT = (
    "to go back on purpose, seal the old text anew: coffer-companion open OLD --key companion.key |"
    " coffer-companion seal - --key companion.key --server ID -o FILE"
)
OTHER_COMPANION_HINT = "another companion sealed what was served last: seal it with --new, which counts from the time"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which sealed definition was taken last: what a later one is measured against."""

    companion: str
    serial: int
    digest: str


def load(directory: str) -> Stamp | None:
    """Return the stamp kept in ``directory``; None without one, or without a directory. Raises SettingsError."""
    if not directory:
        return None
    path = os.path.join(directory, FILE_NAME)
    try:
        os.lstat(path)
        return _stamp(**json.loads(files.load(path, LIMIT_BYTES)))
    except FileNotFoundError:
        return None
    except (OperatorError, OSError, ValueError, TypeError):
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


def check_stamp(source: str, stamp: Stamp, last: Stamp | None) -> bool:
    """Refuse a definition older than the last one; return whether it is that very one. Raises EnvelopeError."""
    if last is None or stamp.serial > last.serial:
        return False
    if stamp.serial < last.serial:
        raise EnvelopeError(
            f"{source}: serial {stamp.serial} is older than {last.serial}, which was served last",
            GO_BACK_HINT if stamp.companion == last.companion else OTHER_COMPANION_HINT,
        )
    if stamp.digest != last.digest:
        raise EnvelopeError(
            f"{source}: serial {stamp.serial} was served before with other contents",
            "two people sealed at once: seal again, over the newest file",
        )
    return True
