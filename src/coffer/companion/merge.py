"""``merge``: git's merge driver for sealed definitions, which puts two together by client and key.

The result grows from our text, comments and all. What cannot be decided stays as it is on our side, and is named.

Rule: what is written is a good definition, sealed above both serials, or nothing is written.
"""

from __future__ import annotations

from coffer import files
from coffer.companion import three_way
from coffer.companion.keys import load_companion_key
from coffer.companion.reading import read_definition
from coffer.companion.sealed import SEALED_MODE, Sealed, Sealer, summary
from coffer.companion.terminal import PROGRAM, say
from coffer.ending import report
from coffer.identity import format_id
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

CONFLICTS = 1


def merge(options: Namespace) -> int:
    """Merge THEIRS into OURS, both grown from BASE; 1 if there are conflicts, as git wants it."""
    paths = (options.base, options.ours, options.theirs)
    old, *grown = (read_definition(path, options.definition_limit) for path in paths)
    base = _open(options, old) if old else None  # git hands in an empty one where both sides added the file
    ours, theirs = (_open(options, raw) for raw in grown)
    server, conflicts = _server(base, ours, theirs)
    text = ours.text
    if base and text == base.text:
        text = theirs.text
    elif not base or theirs.text != base.text:
        document = ours.document()
        conflicts += three_way.merge(base.document() if base else None, document, theirs.document())
        text = document.format()
        _mention_comments(theirs.text, text)
    sealer = Sealer(ours.sealer.keypair, server, options.definition_limit)
    serial = max(ours.envelope.serial, theirs.envelope.serial) + 1
    armour, checked = sealer.armour(text.encode(), options.path, serial)
    files.save(options.ours, armour, mode=SEALED_MODE)
    say(f"merged {options.path}: {summary(checked)}, serial {serial}")
    return _report(options.path, conflicts)


def _open(options: Namespace, raw: bytes) -> Sealed:
    """Open what is in one of git's three files, which are called ``--path`` in every message."""
    return Sealed(options.path, raw, load_companion_key(options, options.path), options.definition_limit)


def _server(base: Sealed | None, ours: Sealed, theirs: Sealed) -> tuple[bytes, list[str]]:
    """Return the server to seal for: the one that a side changed to, or ours and a conflict."""
    our, their = ours.envelope.server, theirs.envelope.server
    old = base.envelope.server if base else our
    if their in (old, our):
        return our, []
    return (their, []) if our == old else (our, [f"server: sealed for {format_id(their)} there"])


def _mention_comments(theirs: str, merged: str) -> None:
    lines = {line.strip() for line in theirs.splitlines() if line.lstrip().startswith("#")}
    lost = lines - {line.strip() for line in merged.splitlines()}
    if lost:
        say(f"{counted(len(lost), 'comment line')} of the other side did not come along")


def _report(path: str, conflicts: list[str]) -> int:
    if not conflicts:
        return 0
    for conflict in conflicts:
        say(f"  {conflict}")
    hint = f"give each its right value (coffer-companion set or edit), then: git add {path}"
    report(PROGRAM, f"{path}: {counted(len(conflicts), 'conflict')}; ours was kept", hint)
    return CONFLICTS
