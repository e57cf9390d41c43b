"""coffer-client: what each verb does.

Not here: the command line (``flags``, ``arguments``), fetching (``fetch``), the command's environment
(``environment``), starting it (``run``), output formats (``formats``). A verb imports what it needs when it is
called: ``run`` stands before every start of somebody's program.
"""

from __future__ import annotations

import sys

from coffer import ending
from coffer.errors import CofferError, MissingNameError

from .fetch import Client
from .flags import read_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from coffer.shard import Shard

    from .flags import Given

NAME = "coffer-client"


def main() -> int:
    """Run the program; return its exit code."""
    return ending.run(NAME, lambda: act(sys.argv[1:]))


def act(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    given = read_run(arguments)
    if given is None:
        from .arguments import parse

        given = parse(arguments)
    return {"run": run, "get": get, "ping": ping}[given.verb](given)


def run(given: Given) -> int:
    """Become the command, with the secrets in its environment; return only if that fails."""
    from .run import FAILED, CommandError

    try:
        _become(given)
    except CofferError as error:
        ending.report(NAME, str(error), error.hint)
        return error.exit_code if isinstance(error, CommandError) else FAILED


def _become(given: Given) -> NoReturn:
    from .environment import add, inherit
    from .run import replace_process

    secrets = _client(given).fetch().environ(allow_reserved=given.allow_reserved)
    replace_process(given.command, add(inherit(), secrets))


def get(given: Given) -> int:
    """Print the shard, or one value of it as it is."""
    on_terminal = sys.stdout.isatty()
    if on_terminal and given.name is None and not given.show:
        ending.report(NAME, "a whole shard is not shown on a terminal unasked", "--show, or name one value")
        return ending.USAGE
    shard = _client(given).fetch()
    if given.name is not None:
        shard = _pick(shard, given.name)
    text = _format(shard, given) if given.name is None or given.format else _raw(shard, on_terminal)
    sys.stdout.buffer.write(text.encode())
    return 0


def _pick(shard: Shard, name: str) -> Shard:
    from coffer.shard import Shard

    if name in shard:
        return Shard({name: shard[name]})
    from difflib import get_close_matches

    near = get_close_matches(name, shard, n=3)
    hint = f"this client has {', '.join(near)}" if near else f"none of this client's {len(shard)} is named like it"
    raise MissingNameError(f"no value named {name!r}", hint)


def _format(shard: Shard, given: Given) -> str:
    from .formats import FORMATS

    return FORMATS[given.format or "toml"](shard, given.allow_reserved)


def _raw(shard: Shard, on_terminal: bool) -> str:
    from coffer.shard import format_value

    (value,) = shard.values()
    return format_value(value) + ("\n" if on_terminal else "")


def ping(given: Given) -> int:
    """Say which server proved itself, and how long that took."""
    address, seconds = _client(given).ping()
    print(f"{address} proved itself and knows this key: {seconds * 1000:.1f} ms")
    return 0


def _client(given: Given) -> Client:
    def passphrase() -> bytes:
        from .passphrase import obtain

        return obtain(given.passphrase_file)

    return Client(given.server or None, given.key, timeout=given.timeout, retries=given.retries, passphrase=passphrase)
