"""``check``: everything that is wrong with a definition, and advice on what is allowed but unwise."""

from __future__ import annotations

import glob
import os
import stat
import sys

from coffer import definition
from coffer.companion.findings import write_json, write_text
from coffer.companion.keys import load_companion_key, read_id
from coffer.companion.reading import STDIN, is_sealed, name, read_definition
from coffer.companion.sealed import Sealed, summary
from coffer.companion.terminal import say
from coffer.errors import DefinitionError, EnvelopeError
from coffer.identity import format_id
from coffer.lint import Advice, lint
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from coffer.definition import Definition
    from coffer.envelope import Envelope
    from coffer.errors import Finding

REFUSED = DefinitionError.exit_code


def check(options: Namespace) -> int:
    """Print all findings. 3 if the definition is refused or, with --strict, if there is advice; 0 otherwise."""
    raw = read_definition(options.file, options.definition_limit)
    advice = [*_open_files(options.file, options.key, is_sealed(raw))]
    errors: tuple[Finding, ...] = ()
    try:
        checked, text = _parse(options, raw)
        advice += lint(checked, text, name(options.file))
        verdict = summary(checked)
    except DefinitionError as error:
        errors = error.findings
        verdict = f"refused for {counted(len(errors), 'finding')}"
    advice = [each for each in advice if each.rule not in options.allow]
    write = write_json if options.format == "json" else write_text
    write([*errors, *advice], sys.stdout)
    say(f"{name(options.file)}: {verdict}; {counted(len(advice), 'warning') if advice else 'no warnings'}")
    return REFUSED if errors or (advice and options.strict) else 0


def _parse(options: Namespace, raw: bytes) -> tuple[Definition, str]:
    server = None if options.server is None else read_id(options.server, "--server")
    if is_sealed(raw):
        sealed = Sealed(options.file, raw, load_companion_key(options, options.file), options.definition_limit)
        _check_server(sealed.envelope, server)
        return sealed.definition(), sealed.text
    checked = definition.parse(raw, source=name(options.file), limit_bytes=options.definition_limit, server=server)
    return checked, raw.decode()


def _check_server(sealed: Envelope, server: bytes | None) -> None:
    """Refuse what is sealed for another server than the one that was named: that one would not take it."""
    if server is not None and server != sealed.server:
        raise EnvelopeError(
            f"{sealed.source}: sealed for server {format_id(sealed.server)}, not for {format_id(server)}",
            "to seal it for another server: coffer-companion rotate server FILE --id ID",
        )


def _open_files(path: str, key: str | None, sealed: bool) -> Iterator[Advice]:
    """Advise on the key files around a definition, and on the definition itself while it is in clear."""
    if path == STDIN:
        return
    keys = glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "*.key"))
    for each in sorted({*keys, *([key] if key else []), *([] if sealed else [path])}):
        try:
            mode = stat.S_IMODE(os.stat(each).st_mode)
        except OSError:
            continue
        if mode & 0o077:
            yield Advice("open-file", each, f"others can read it (mode {mode:04o})", hint=f"chmod 0600 {each}")
