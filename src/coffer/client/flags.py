"""The flags of ``coffer-client run`` as data, and the reading of a command line that has nothing wrong with it.

Not here: help, completion and every usage error, which are argparse's (``arguments``), made from the same data. It
would cost ``run`` 12 ms at each start of somebody's program.

Rule 1: ``read_run`` either reads what argparse reads, or leaves it to argparse.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

from .fetch import RETRIES, TIMEOUT_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

NAME = "coffer-client"
TIMEOUT_LIMIT_SECONDS = 3600
RETRIES_LIMIT = 999
DURATION_LIMIT_SECONDS = 10 * 366 * 86_400
DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Given:
    """What a command line says. A flag is an attribute under its long name."""

    verb: str
    strays: list[str]
    command: list[str]
    names: list[str]
    format: str | None
    show: bool
    server: list[str]
    key: str | None
    passphrase_file: str | None
    timeout: float
    retries: int
    cache: str | None = None
    max_stale: float | None = None
    offline: bool = False
    only: list[list[str]]
    require: list[list[str]]
    prefix: str
    allow_reserved: list[str]
    files: str | None
    clean: bool
    keep: list[str]
    watch: float | None
    on_change: str | None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Flag:
    """One flag. Without ``metavar`` it is a switch; ``read`` makes a value of its text, or raises ValueError."""

    __slots__ = ("attribute", "default", "help", "is_repeated", "metavar", "name", "read")

    def __init__(
        self,
        name: str,
        metavar: str | None,
        help: str,
        *,
        default: object = None,
        read: Callable[[str], object] = str,
        is_repeated: bool = False,
    ) -> None:
        self.name = name
        self.attribute = name[2:].replace("-", "_")
        self.metavar = metavar
        self.help = help
        self.default = default
        self.read = read
        self.is_repeated = is_repeated


def read_seconds(text: str) -> float:
    """Return a timeout. Raises ValueError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= TIMEOUT_LIMIT_SECONDS:
        raise ValueError(f"{text!r} is not a number of seconds above 0, up to {TIMEOUT_LIMIT_SECONDS}")
    return seconds


def read_duration(text: str) -> float:
    """Return the seconds in ``30s``, ``5m``, ``12h`` or ``14d``. Raises ValueError."""
    unit = DURATION_UNITS.get(text[-1:])
    number = text[:-1]
    if not (unit and number.isascii() and number.isdigit() and 0 < int(number) * unit <= DURATION_LIMIT_SECONDS):
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m, 12h or 14d")
    return int(number) * unit


def read_action(text: str) -> str:
    """Return ``restart`` or ``signal:NAME`` as it stands. Raises ValueError."""
    name = text.removeprefix("signal:")
    if text != "restart" and not (name != text and name.isalnum() and hasattr(_signal, f"SIG{name}")):
        raise ValueError(f"{text!r} is neither restart nor signal:NAME, as in signal:HUP")
    return text


def read_names(text: str) -> list[str]:
    """Return the names in ``A,B``. Raises ValueError if there is none: a variable that is not set asks for nothing."""
    names = [name for each in text.split(",") if (name := each.strip())]
    if not names:
        raise ValueError(f"{text!r} names no value")
    return names


def read_count(text: str) -> int:
    """Return a number of retries. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise ValueError(f"{text!r} is not a number from 0 to {RETRIES_LIMIT}")
    return int(text)


CONNECTION = (
    Flag(
        "--server",
        "ADDRESS",
        "coffer://SERVER-ID@HOST:PORT; several are tried in order (COFFER_SERVER, with commas)",
        is_repeated=True,
    ),
    Flag("--key", "FILE", "this client's key file (COFFER_KEY)"),
    Flag("--passphrase-file", "FILE", "of a key file that is locked; asked for otherwise"),
    Flag(
        "--timeout",
        "SECONDS",
        f"for one attempt at one server, from its name to its last byte (default {TIMEOUT_SECONDS:g})",
        default=TIMEOUT_SECONDS,
        read=read_seconds,
    ),
    Flag(
        "--retries",
        "N",
        f"how often all servers are tried again, if what failed may pass (default {RETRIES})",
        default=RETRIES,
        read=read_count,
    ),
)
ALLOW_RESERVED = Flag(
    "--allow-reserved",
    "NAME",
    "pass this value on although its name, as PATH does, changes what a program is",
    is_repeated=True,
)
CACHE = (
    Flag("--cache", "FILE", "keep the last shard there, sealed to this key, for a start when nobody answers"),
    Flag(
        "--max-stale",
        "DURATION",
        "use no cache older than this (default 14d)",
        read=read_duration,
    ),
    Flag("--offline", None, "ask nobody, use the cache"),
)
SELECTION = (
    Flag(
        "--only",
        "A,B",
        "hand over these values and no others; each must be there",
        read=read_names,
        is_repeated=True,
    ),
    Flag("--require", "A,B", "start nothing unless these values are there", read=read_names, is_repeated=True),
    Flag("--prefix", "TEXT", "put this before every name", default=""),
    ALLOW_RESERVED,
    Flag("--files", "DIR", "hand over each value as a file in DIR, in memory, and its path in NAME_FILE"),
    Flag("--clean", None, "start with an empty environment, but for the secrets"),
    Flag("--keep", "GLOB", "with --clean, which this implies: keep these variables of the caller", is_repeated=True),
)
WATCH = (
    Flag("--watch", "DURATION", "stay beside the command, and look so often for other values", read=read_duration),
    Flag("--on-change", "ACTION", "with --watch: restart (the default), or signal:HUP", read=read_action),
)
GROUPS = {
    "what the command is given": SELECTION,
    "when values change": WATCH,
    "when nobody answers": CACHE,
    "whom to ask, and as whom": CONNECTION,
}


def read_run(arguments: Sequence[str]) -> Given | None:
    """Return what a plain ``run [FLAG ...] -- COMMAND ...`` says; None for whatever argparse should look at."""
    if arguments[:1] != ["run"] or "--" not in arguments[:-1]:
        return None
    cut = arguments.index("--")
    given = _defaults()
    given.command = list(arguments[cut + 1 :])
    words = iter(arguments[1:cut])
    for word in words:
        if not _read_flag(given, word, words):
            return None
    return None if contradiction(given) else given


def contradiction(given: Given) -> str | None:
    """Say which flags make no sense together, or return None."""
    if given.cache is None and (given.offline or given.max_stale is not None):
        return f"{'--offline' if given.offline else '--max-stale'}: there is no --cache"
    if given.verb == "run" and given.on_change is not None and given.watch is None:
        return "--on-change: there is no --watch"
    if given.verb == "run" and given.watch is not None and given.offline:
        return "--watch: with --offline nobody is asked"
    return None


def _defaults() -> Given:
    given = Given()
    given.verb = "run"
    given.strays = []
    for flag in _RUN_FLAGS.values():
        setattr(given, flag.attribute, default_of(flag))
    return given


def default_of(flag: Flag) -> Any:
    """Return what a flag is when it is not given."""
    if flag.is_repeated:
        return []
    return flag.default if flag.metavar else False


def _read_flag(given: Given, word: str, words: Any) -> bool:
    name, equals, value = word.partition("=")
    flag = _RUN_FLAGS.get(name)
    if flag is None or (equals and not flag.metavar):
        return False
    if flag.metavar and not equals:
        value = next(words, "-")
        if value.startswith("-"):
            return False
    return _set(given, flag, value)


def _set(given: Given, flag: Flag, text: str) -> bool:
    try:
        value = flag.read(text) if flag.metavar else True
    except ValueError:
        return False
    if flag.is_repeated:
        getattr(given, flag.attribute).append(value)
    else:
        setattr(given, flag.attribute, value)
    return True


_RUN_FLAGS = {flag.name: flag for flags in GROUPS.values() for flag in flags}
