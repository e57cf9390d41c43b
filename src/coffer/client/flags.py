"""The flags of ``coffer-client run`` as data, and the reading of a command line that has nothing wrong with it.

Not here: help, completion and every usage error, which are argparse's (``arguments``), made from the same data. It
would cost ``run`` 12 ms at each start of somebody's program.

Rule 1: ``read_run`` either reads what argparse reads, or leaves it to argparse.
"""

from __future__ import annotations

from .fetch import RETRIES, TIMEOUT_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

TIMEOUT_LIMIT_SECONDS = 3600
RETRIES_LIMIT = 999


class Given:
    """What a command line says. A flag is an attribute under its long name."""

    verb: str
    strays: list[str]
    command: list[str]
    name: str | None
    format: str | None
    show: bool
    server: list[str]
    key: str | None
    passphrase_file: str | None
    timeout: float
    retries: int
    allow_reserved: list[str]

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
RUN = (ALLOW_RESERVED,)


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
    return given


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


_RUN_FLAGS = {flag.name: flag for flag in (*RUN, *CONNECTION)}
