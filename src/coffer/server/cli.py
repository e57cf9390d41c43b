"""coffer-server: serve, check, reload."""

from __future__ import annotations

import os
import resource
import sys

from coffer import ending, program
from coffer._core import harden
from coffer.errors import SettingsError
from coffer.server.settings import Settings, add_flags, first_directory, load_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from coffer._core import Keypair
    from coffer.server.log import Log

PROGRAM = "coffer-server"
VERBS = ("serve", "check", "reload", "completion")
ABOUT = """Serve sealed shards, one to each client.

verbs:
  serve       serve until told to stop (the default)
  check       do everything but serve, and say what would be served
  reload      ask the running server to take the definition anew, and wait for its verdict
  completion  print what completes this program in a shell
"""
EXAMPLE = """example:
  coffer-server --key server.key --companion ID --definition definition.coffer --listen 0.0.0.0:26333

signals: HUP reloads; TERM and INT let sessions end, at most 15 s, then exit with 0; a second one ends at once.
"""
# Descriptors of a process that are neither connections nor listeners: standard streams, channel, selector, tables.
SPARE_DESCRIPTORS = 31
LIMIT_HINT = "LimitNOFILE= under systemd, --ulimit nofile= in a container"


def main() -> int:
    """Run the program; return its exit code."""
    return ending.run(PROGRAM, lambda: act(sys.argv[1:]))


def act(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    word = arguments[0] if arguments else ""
    if word and word not in VERBS and not word.startswith("-"):
        serve_parser().error(f"argument VERB: invalid choice: {word!r} (choose from {', '.join(VERBS)})")
    verb = word if word in VERBS else "serve"
    rest = arguments[1:] if arguments and arguments[0] == verb else arguments
    if verb == "reload":
        return reload(rest)
    if verb == "completion":
        parser().parse_args(arguments)
    flags = serve_parser(verb).parse_args(rest)
    return {"serve": serve, "check": check}[verb](load_settings(flags))


def parser() -> program.Parser:
    """The parser of the whole command line, for completion; ``act`` reads it by the verb, which may be left out."""
    whole = serve_parser()
    verbs = whole.add_subparsers(metavar="VERB", title="verbs", parser_class=program.Parser)
    for verb, summary in (("serve", "serve until told to stop"), ("check", "say what would be served")):
        add_flags(verbs.add_parser(verb, help=summary))
    _add_reload(verbs.add_parser("reload", help="take the definition anew"))
    program.add_completion(verbs)
    return whole


def serve_parser(verb: str = "serve") -> program.Parser:
    """The parser of ``serve`` and ``check``, which take the same flags."""
    parser = program.Parser(
        prog=PROGRAM if verb == "serve" else f"{PROGRAM} {verb}",
        usage=f"{PROGRAM} [serve|check] --key FILE --companion ID --definition FILE [flag ...]",
        description=ABOUT,
        epilog=EXAMPLE,
    )
    add_flags(parser)
    parser.add_version()
    return parser


def reload_parser() -> program.Parser:
    """The parser of ``reload``."""
    parser = program.Parser(
        prog=f"{PROGRAM} reload",
        description="Ask the running server to take the definition anew, and wait for its verdict.",
    )
    _add_reload(parser)
    return parser


def _add_reload(parser: program.Parser) -> None:
    parser.add_argument("--run-dir", metavar="DIR", help="that of the server (default: $RUNTIME_DIRECTORY)")


def reload(arguments: list[str]) -> int:
    """Have the running server take the definition anew; print its verdict."""
    from coffer.server.control import ask_reload

    directory = reload_parser().parse_args(arguments).run_dir or first_directory("RUNTIME_DIRECTORY")
    if not directory:
        raise SettingsError("--run-dir is missing", "it is the --run-dir that the server was started with")
    print(ask_reload(directory))
    return 0


def serve(settings: Settings) -> int:
    """Serve until told to stop; return the exit code. No port is bound before the keys are read."""
    from coffer.server.log import Log
    from coffer.server.master import Master

    keypairs = prepare(settings)
    log = Log(settings.verbose)
    hard = _raise_limit(resource.RLIMIT_NOFILE)
    _raise_limit(resource.RLIMIT_MEMLOCK)
    listeners = _listeners(settings)
    settings = _fit_descriptors(settings, hard, len(listeners), log)
    return Master(settings, keypairs, listeners, log).run()


def check(settings: Settings) -> int:
    """Do everything but serve: also beside the running server, so nothing is bound."""
    from coffer._core import Locker
    from coffer.server import state
    from coffer.server.listeners import resolve
    from coffer.server.loader import Loader

    keypairs = prepare(settings)
    for text in settings.listen:
        resolve(text)
    loader = Loader(settings, keypairs, Locker(), state.load(settings.state_dir), advise=True)
    while loader.read():
        pass
    loaded, _ = loader.finish()
    for line in loaded.advice:
        print(ending.escape(line), file=sys.stderr)
    print(f"{settings.definition}: {loaded}\nwould listen on {', '.join(settings.listen)}")
    return 0


def prepare(settings: Settings) -> tuple[Keypair, ...]:
    """Keep this process out of core dumps, then read the keys. Raises KeyFileError."""
    from coffer.identity import load_keypair

    sys.excepthook = _crash
    _fill_standard_streams()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    harden()
    return tuple(load_keypair(path) for path in settings.key)


def _fill_standard_streams() -> None:
    """Let no socket or key file take the place of a standard stream that was closed before the start."""
    from coffer.server.log import STDERR

    while (fd := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        continue
    os.close(fd)


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A bug's traceback, without the message: only code, never a value."""
    import traceback

    if sys.stderr is None:
        return
    sys.stderr.writelines(traceback.format_tb(trace))
    sys.stderr.write(f"{PROGRAM}: internal error: {kind.__name__}\n")


def _fit_descriptors(settings: Settings, hard: int, listeners: int, log: Log) -> Settings:
    """Lower the cap on connections to what the limit of descriptors leaves. Raises SettingsError if that is nothing."""
    from dataclasses import replace

    room = hard - SPARE_DESCRIPTORS - listeners
    least = hard - room + settings.workers  # the master has a channel to each worker, where these have connections
    if hard < least:
        what = f"the limit of {hard} open files is too low, {least} are the least (`ulimit -n`)"
        raise SettingsError(what, LIMIT_HINT)
    if room >= settings.max_connections:
        return settings
    connections = program.counted(room, "connection")
    log.say(f"warning: the limit of {hard} open files leaves room for {connections} a worker (`ulimit -n`)")
    return replace(settings, max_connections=room)


def _raise_limit(kind: int) -> int:
    """Raise a soft limit to its hard one, and return that."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (hard, hard))
    return hard


def _listeners(settings: Settings) -> list[socket.socket]:
    from coffer.server.listeners import bind
    from coffer.server.systemd import inherited_listeners

    return inherited_listeners() or [sock for text in settings.listen for sock in bind(text)]
