"""The command line of coffer-client, as argparse sees it: help, completion, and what is wrong with what was typed.

Not here: what a verb does (``cli``), and the flags of ``run``, which are data (``flags``).

Rule 1: under ``run`` a usage error ends with 125, as every failure of our own does; elsewhere with 2.
"""

from __future__ import annotations

import argparse
import sys

from coffer import ending, program

from .flags import ALLOW_RESERVED, CACHE, CONNECTION, GROUPS, NAME, Flag, Given, contradiction, default_of
from .run import FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

FORMATS = ("dotenv", "json", "shell", "toml")

DESCRIPTION = "Fetch this machine's secrets from a coffer server, and hand them to a program."
EPILOG = """\
examples:
  coffer-client run -- gunicorn app:app      start a program with the secrets in its environment
  coffer-client get DATABASE_URL             one value, as it is
  coffer-client get --format json | jq       all of them
  coffer-client run --watch 1m -- worker     restart it when its secrets change
  coffer-client ping                         does the server answer, and know this key?

Each verb needs --server coffer://SERVER-ID@HOST:PORT and --key FILE, or COFFER_SERVER and COFFER_KEY.

exit codes: 0 done; 1 no such name; 2 usage; 69 nobody gave an authentic answer; 76 an answer that began and failed;
77 the server does not know this client, or refuses; 78 a bad key file or setting; 130 interrupted. run: the
command's own, or 125 coffer failed, 126 cannot be executed, 127 not found.
"""
RUN_USAGE = f"{NAME} run [OPTION ...] -- COMMAND [ARGUMENT ...]"


class Parser(program.Parser):
    """The parser of one verb. ``usage_code`` is what its usage errors end the program with."""

    usage_code = ending.USAGE

    def error(self, message: str) -> NoReturn:
        try:
            super().error(message)
        except SystemExit:
            sys.exit(self.usage_code)


def make_parser() -> Parser:
    """Return the parser of the whole command line; ``parse`` is what reads one."""
    parser = Parser(NAME, description=DESCRIPTION, epilog=EPILOG)
    parser.add_version()
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_run(verbs.add_parser("run", help="start a command with the secrets in its environment", usage=RUN_USAGE))
    _add_get(verbs.add_parser("get", help="print the secrets, or one of them"))
    _add_connection(verbs.add_parser("ping", help="prove server and key without touching a secret"))
    program.add_completion(verbs)
    return parser


def parse(arguments: Sequence[str]) -> Given:
    """Return what the command line says; ``command`` is what stands after ``--``. Exits on a usage error."""
    parser = make_parser()
    if arguments[:1] != ["run"]:
        return _parse_other(parser, arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given, unknown = parser.parse_known_args(arguments[:cut], Given())
    given.command = list(arguments[cut + 1 :])
    strays = given.strays + unknown
    if strays and not given.command:
        _refuse_without_dashes(arguments, strays)
    if strays:
        _refuse_run(f"unknown before the --: {' '.join(strays)}", f"{NAME} run --help")
    if not given.command:
        _refuse_run("no command to run", RUN_USAGE)
    if fault := contradiction(given):
        _refuse_run(fault, f"{NAME} run --help")
    return given


def _parse_other(parser: Parser, arguments: Sequence[str]) -> Given:
    given, unknown = parser.parse_known_args(arguments, Given())
    fault = f"unknown: {' '.join(unknown)}" if unknown else None
    if given.verb == "get" and fault is None:
        fault = contradiction(given)
    if fault:
        ending.report(NAME, fault, f"{NAME} {given.verb} --help")
        sys.exit(ending.USAGE)
    return given


def _refuse_without_dashes(arguments: Sequence[str], strays: Sequence[str]) -> NoReturn:
    from shlex import join

    # Our own flags, if any, stand before the first word that is not ours.
    at = min(arguments.index(each, 1) for each in strays)
    _refuse_run('"--" is missing before the command', f"{NAME} {join(arguments[:at])} -- {join(arguments[at:])}")


def _refuse_run(message: str, hint: str) -> NoReturn:
    ending.report(NAME, message, hint)
    sys.exit(FAILED)


def _add_run(verb: Parser) -> None:
    verb.usage_code = FAILED
    verb.add_argument("strays", nargs="*", help=argparse.SUPPRESS)
    for title, flags in GROUPS.items():
        _add_flags(verb.add_argument_group(title), flags)


def _add_get(verb: Parser) -> None:
    one_or_more = "only this value, raw unless a format is given; or only these"
    verb.add_argument("names", nargs="*", metavar="NAME", help=one_or_more)
    verb.add_argument("--format", choices=FORMATS, help="default toml")
    verb.add_argument("--show", action="store_true", help="print all the secrets even on a terminal")
    _add_flags(verb, [ALLOW_RESERVED])
    _add_flags(verb.add_argument_group("when nobody answers"), CACHE)
    _add_connection(verb)


def _add_connection(verb: Parser) -> None:
    _add_flags(verb.add_argument_group("whom to ask, and as whom"), CONNECTION)


def _add_flags(to: Any, flags: Iterable[Flag]) -> None:
    for flag in flags:
        if not flag.metavar:
            to.add_argument(flag.name, action="store_true", help=flag.help)
            continue
        to.add_argument(
            flag.name,
            action="append" if flag.is_repeated else "store",
            type=program.readable(flag.read),
            default=default_of(flag),
            metavar=flag.metavar,
            help=flag.help,
        )
