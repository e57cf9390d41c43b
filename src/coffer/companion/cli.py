"""coffer-companion: its command line, and how it ends.

Not here: what a verb takes (``arguments``) and does. Each is a function ``module:function``, loaded when it is called.
"""

from __future__ import annotations

import resource
import signal
import sys
from importlib import import_module

from coffer import ending, program
from coffer.companion.arguments import add_clients, add_git, add_keys, add_rotation, add_sealing, add_values
from coffer.companion.findings import refuse
from coffer.companion.scratch import remove_left_behind
from coffer.companion.terminal import PROGRAM, say
from coffer.ending import SIGNALLED
from coffer.errors import DefinitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from types import FrameType

_DESCRIPTION = """\
Make keys, and definitions of who gets which secrets, sealed so that only one server can open them.

To begin:  coffer-companion init FOLDER
"""


def main() -> int:
    """Run the program; return its exit code."""
    _leave_nothing_behind()
    return ending.run(PROGRAM, lambda: _act(parser().parse_args()))


def parser() -> program.Parser:
    """Return the parser of the whole command line: help, completions and docs are made from it."""
    top = program.Parser(prog=PROGRAM, description=_DESCRIPTION)
    top.add_version()
    verbs = top.add_subparsers(metavar="VERB", required=True, title="verbs", parser_class=program.Parser)
    for add in (add_keys, add_sealing, add_values, add_clients, add_rotation, add_git):
        add(verbs)
    program.add_completion(verbs)
    return top


def _act(options: Namespace) -> int:
    for path in remove_left_behind():
        say(f"removed {path}, left behind by an edit that was killed")
    module, name = options.function.split(":")
    function: Callable[[Namespace], int] = getattr(import_module(f"coffer.companion.{module}"), name)
    try:
        return function(options)
    except DefinitionError as error:
        return refuse(error, writes=options.writes)


def _leave_nothing_behind() -> None:
    """No core dump holds a secret, and TERM and HUP end the program by way of every ``finally``."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(SIGNALLED + number)
