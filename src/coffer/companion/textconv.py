"""``textconv``: a sealed definition as the lines that ``git diff`` compares.

Rule: it always prints something. Git gives up the whole diff, or log, when this fails for one of its files.
"""

from __future__ import annotations

import sys

from coffer import envelope
from coffer.companion.digests import Digests
from coffer.companion.reading import is_key, read
from coffer.companion.sealed import load_any
from coffer.definition import CLIENTS
from coffer.ending import escape
from coffer.errors import EnvelopeError, OperatorError
from coffer.identity import format_id
from coffer.toml import format_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from coffer.definition import Definition
    from coffer.envelope import Envelope


def textconv(options: Namespace) -> int:
    """Print keys with hashes of their values or, with --values, the text; what does not open, by its header."""
    try:
        definition, sealed = load_any(options, options.file)
    except OperatorError as error:
        _print_unopened(options, str(error).removeprefix(f"{options.file}: "))
        return 0
    if sealed:
        _print_header(sealed.envelope)
    if options.values and sealed:
        sys.stdout.write(sealed.text)
    else:
        digests = Digests(sealed.sealer.keypair if sealed else None)
        for line in _lines(definition, digests):
            print(escape(line))
    return 0


def _print_unopened(options: Namespace, why: str) -> None:
    print(escape(f"# not opened: {why}"))
    raw = read(options.file, envelope.armour_limit(options.definition_limit))
    if is_key(raw):
        return
    try:
        sealed = envelope.parse_armour(raw, options.file)
    except EnvelopeError:
        sys.stdout.write(raw.decode(errors="replace"))
    else:
        _print_header(sealed)
        print(f"# digest {sealed.digest.hex()}")


def _print_header(sealed: Envelope) -> None:
    print(f"# serial {sealed.serial}\n# for server {format_id(sealed.server)}")


def _lines(definition: Definition, digests: Digests) -> Iterator[str]:
    yield f"[{CLIENTS}]"
    for client in definition.clients.values():
        yield from (f"{client.name} = {format_id(public)}" for public in client.ids)
    for client in definition.clients.values():
        yield ""
        yield f"[{client.name}]"
        yield from (f"{format_key(key)} = {digests.of(value)}" for key, value in client.shard.items())
