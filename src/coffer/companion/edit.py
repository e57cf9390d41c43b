"""``edit``: the definition in an editor, checked and sealed again.

Not here: the folder in memory that it is edited in (``scratch``), and the editor (``editor``).

Rule: a file in clear exists while the editor runs, and not a moment longer. Questions are asked without one.
"""

from __future__ import annotations

import os
import sys

from coffer.companion import editor
from coffer.companion.findings import mention_advice, write_text
from coffer.companion.scratch import folder, signals_held
from coffer.companion.sealed import ChangedMeanwhileError, Sealed, load
from coffer.companion.terminal import PROGRAM, ask_to_go_on, say
from coffer.ending import report
from coffer.errors import DefinitionError, OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

FILE_NAME = "definition.toml"


def edit(options: Namespace) -> int:
    """Have the definition edited until it is good or given up, and seal it if it has changed."""
    sealed = load(options)
    before = sealed.text.encode()
    after = _edit_until_good(sealed, before, options.allow_disk)
    if after is None:
        report(PROGRAM, f"{sealed.path}: given up; nothing was changed")
        return DefinitionError.exit_code
    if after == before:
        say(f"{sealed.path}: unchanged")
        return 0
    text = after.decode()
    try:
        checked = sealed.replace(text)
    except ChangedMeanwhileError as error:
        raise _set_aside(sealed, after, error) from None
    mention_advice(checked, text, sealed.path)
    return 0


def _edit_until_good(sealed: Sealed, before: bytes, allow_disk: bool) -> bytes | None:
    text = before
    while True:
        text = _edit_once(text, allow_disk)
        try:
            if text != before:
                sealed.sealer.check(text, sealed.path)
            return text
        except DefinitionError as error:
            write_text(error.findings, sys.stderr)
        if not ask_to_go_on("Enter edits it again, q gives it up: "):
            return None


def _edit_once(text: bytes, allow_disk: bool) -> bytes:
    with signals_held() as mask, folder(allow_disk=allow_disk) as place:
        path = os.path.join(place, FILE_NAME)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(text)
        editor.edit(path, place, mask)
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise OperatorError(f"{FILE_NAME}: {error.strerror} after the editor; nothing was changed") from None


def _set_aside(sealed: Sealed, text: bytes, error: ChangedMeanwhileError) -> OperatorError:
    """Seal the edit beside a file that somebody else has changed, so that no work is lost."""
    aside = f"{sealed.path}.edited-{os.getpid()}"
    sealed.sealer.seal(text, sealed.path, aside, sealed.envelope.serial + 1, None)
    return OperatorError(str(error), f"your edit is in {aside}: coffer-companion diff {sealed.path} {aside}")
