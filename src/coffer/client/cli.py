"""coffer-client: what each verb does.

Not here: the command line (``flags``, ``arguments``), fetching (``fetch``), the command's environment
(``environment``), starting it (``run``), output formats (``formats``). A verb imports what it needs when it is
called: ``run`` stands before every start of somebody's program.
"""

from __future__ import annotations

import os
import sys

from coffer import ending
from coffer.errors import CofferError

from .fetch import MAX_STALE_SECONDS, Client
from .flags import NAME, read_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer.shard import Shard

    from .delivery import Delivery
    from .flags import Given


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
    """Become the command, with the secrets in its environment, or stay beside it; return its code, or why not."""
    from .run import FAILED, CommandError

    try:
        return _deliver(given)
    except CofferError as error:
        ending.report(NAME, str(error), error.hint)
        return error.exit_code if isinstance(error, CommandError) else FAILED


def _deliver(given: Given) -> int:
    from .delivery import prepare
    from .run import replace_process

    client = _client(given)
    delivery = prepare(client.fetch(), given)
    if given.watch is None:
        replace_process(given.command, _give(delivery, given))
    return _stay(given, client, delivery)


def _give(delivery: Delivery, given: Given) -> dict[bytes, bytes]:
    """Put the files in place, if there are to be any; return the command's environment."""
    from .environment import add, inherit, narrow

    environment = inherit()
    if given.clean or given.keep:
        environment = narrow(environment, given.keep)
    if given.files is not None:
        from .folder import fill

        fill(given.files, delivery.files)
    return add(environment, delivery.variables)


def _stay(given: Given, client: Client, delivery: Delivery) -> int:
    from .delivery import prepare
    from .supervise import Supervisor, signal_for
    from .watch import Watch

    assert given.watch is not None
    watch = Watch(delivery, lambda: prepare(client.ask(), given), given.watch, _tell)
    supervisor = Supervisor(
        given.command, lambda new: _give(new, given), watch, signal_for(given.on_change or "restart"), _tell
    )
    try:
        return supervisor.run()
    finally:
        if given.files is not None:
            _clear(given.files)


def _clear(folder: str) -> None:
    """Take the files away. That they cannot be is told, and does not stand in for the command's own exit code."""
    from .folder import clear

    try:
        clear(folder)
    except CofferError as error:
        _tell(f"warning: secrets are left behind: {error}")


def get(given: Given) -> int:
    """Print the shard, or some values of it, or one as it is."""
    on_terminal = sys.stdout.isatty()
    if on_terminal and not given.names and not given.show:
        ending.report(NAME, "a whole shard is not shown on a terminal unasked", "--show, or name one value")
        return ending.USAGE
    shard = _client(given).fetch()
    if given.names:
        shard = _pick(shard, given.names)
    is_raw = len(given.names) == 1 and given.format is None
    text = _raw(shard, on_terminal) if is_raw else _format(shard, given)
    sys.stdout.buffer.write(text.encode())
    return 0


def _pick(shard: Shard, names: list[str]) -> Shard:
    from coffer.shard import Shard

    from .delivery import missing

    for name in names:
        if name not in shard:
            raise missing(name, shard)
    return Shard({name: shard[name] for name in names})


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
        from coffer.prompt import obtain_passphrase

        return obtain_passphrase(given.key or os.environ["COFFER_KEY"], given.passphrase_file)

    return Client(
        given.server or None,
        given.key,
        timeout=given.timeout,
        retries=given.retries,
        passphrase=passphrase,
        cache=given.cache,
        max_stale=given.max_stale or MAX_STALE_SECONDS,
        offline=given.offline,
        tell=_tell,
    )


def _tell(text: str) -> None:
    """Say one line beside what the command says."""
    if sys.stderr is not None:  # None: started with it closed
        sys.stderr.write(f"{NAME}: {ending.escape(text)}\n")
