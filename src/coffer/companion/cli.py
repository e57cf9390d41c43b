"""The command line of coffer-companion: every verb, its arguments and their help.

Not here: what a verb does. Each is a function ``module:function``, loaded when it is called.
"""

from __future__ import annotations

import re
import resource
import signal
import sys
from argparse import ArgumentTypeError
from importlib import import_module

from coffer import program
from coffer.companion.findings import refuse
from coffer.companion.terminal import PROGRAM
from coffer.definition import LIMIT_BYTES
from coffer.errors import DefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeAlias

    Verbs: TypeAlias = _SubParsersAction[program.Parser]

UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}

_DESCRIPTION = """\
Make keys, and definitions of who gets which secrets, sealed so that only one server can open them.

To begin:  coffer-companion init FOLDER
"""


def main() -> int:
    """Run the program; return its exit code."""
    _leave_nothing_behind()
    options = parser().parse_args()
    return program.run(PROGRAM, lambda: _act(options))


def parser() -> program.Parser:
    """Return the parser of the whole command line: help, completions and docs are made from it."""
    top = program.Parser(prog=PROGRAM, description=_DESCRIPTION)
    top.add_version()
    verbs = top.add_subparsers(metavar="VERB", required=True, title="verbs", parser_class=program.Parser)
    _add_keys(verbs)
    _add_sealing(verbs)
    return top


def _add_keys(verbs: Verbs) -> None:
    verb = _add(verbs, "keygen", "keys:keygen", "make a key file; print its id")
    verb.add_argument("-o", "--output", dest="file", metavar="FILE", required=True, help="the key file to make")
    verb.add_argument("--passphrase", action="store_true", help="lock the key with a passphrase, asked for here")
    _add_passphrase_file(verb)

    verb = _add(verbs, "id", "keys:show_id", "print the id of a key file")
    verb.add_argument("file", metavar="FILE", help="a key file")
    _add_passphrase_file(verb)

    verb = _add(verbs, "init", "init:init", "make a folder to begin in: a definition, keys, and what to do next")
    verb.add_argument("directory", metavar="FOLDER", help="a new folder, or one without keys and definition")
    verb.add_argument("--server", metavar="ID", help="the server's id (without it, its key is made here)")
    verb.add_argument(
        "--client",
        metavar="NAME[=ID]",
        action="append",
        help="a client and its id (without the id, its key is made here); may be repeated (default: web)",
    )


def _add_sealing(verbs: Verbs) -> None:
    verb = _add(verbs, "seal", "seal:seal", "check a definition and seal it for a server")
    verb.add_argument("definition", metavar="DEFINITION", help="the definition, TOML; - reads stdin")
    verb.add_argument("-o", "--output", metavar="FILE", required=True, help="the sealed file to make or replace")
    verb.add_argument("--server", metavar="ID", help="the server's id (default: that of the FILE replaced)")
    verb.add_argument("--new", action="store_true", help="replace a FILE that this key does not open")
    _add_key(verb)

    verb = _add(verbs, "open", "seal:open_sealed", "print the definition in a sealed file")
    verb.add_argument("file", metavar="FILE", help="a sealed file; - reads stdin")
    verb.add_argument(
        "--companion", metavar="ID", help="open with the server's --key what this companion sealed: the way back"
    )
    _add_key(verb)

    verb = _add(verbs, "check", "check:check", "say everything that is wrong with a definition")
    verb.add_argument("file", metavar="FILE", help="a definition, sealed or not; - reads stdin")
    verb.add_argument("--server", metavar="ID", help="the server's id, which no client may have")
    _add_key(verb)


def _add(verbs: Verbs, name: str, function: str, summary: str) -> ArgumentParser:
    verb = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    verb.set_defaults(function=function)
    return verb


def _add_key(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--key",
        metavar="FILE",
        help="the companion's key file (default: $COFFER_COMPANION_KEY, or companion.key beside the sealed file)",
    )
    _add_passphrase_file(verb)
    verb.add_argument(
        "--definition-limit",
        metavar="SIZE",
        type=_size,
        default=LIMIT_BYTES,
        help="the largest definition, in bytes or as 64MiB (default: 64MiB)",
    )


def _add_passphrase_file(verb: ArgumentParser) -> None:
    verb.add_argument("--passphrase-file", metavar="FILE", help="read the key's passphrase from a file")


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12}) ?(|kib|mib|gib)", text.lower())
    if not match or not int(match[1]):
        raise ArgumentTypeError(f"{text!r} is no size; write bytes, or 64MiB")
    return int(match[1]) * UNITS[match[2]]


def _act(options: Namespace) -> int:
    module, name = options.function.split(":")
    function: Callable[[Namespace], int] = getattr(import_module(f"coffer.companion.{module}"), name)
    try:
        return function(options)
    except DefinitionError as error:
        return refuse(error)


def _leave_nothing_behind() -> None:
    """No core dump holds a secret, and TERM and HUP end the program by way of every ``finally``."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
