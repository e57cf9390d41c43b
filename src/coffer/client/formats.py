"""A shard as text for another program: JSON, TOML, a .env file, or lines for a shell.

Not here: the form of a single value, which is ``shard.format_value``, and in TOML ``toml.format_literal``.

Rule 1: the program that reads the text gets exactly the values; what a format cannot hold is an error that names
the key. The readers meant are jq and every JSON parser, a TOML parser, python-dotenv, and sh.
"""

from __future__ import annotations

from coffer.errors import OperatorError
from coffer.shard import format_value
from coffer.toml import format_key, format_literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from coffer.shard import Shard, Value

# Beyond it jq, JavaScript and others round to the nearest double (RFC 8259, 6).
JSON_INTEGER_LIMIT = 2**53 - 1

# Names that a shell keeps for itself: it refuses the assignment, or gives something else back.
SHELL_NAMES = frozenset(
    """
    _ BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND BASH_LINENO BASH_SOURCE
    BASH_SUBSHELL BASH_VERSINFO DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD LINENO OPTIND PPID
    RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID
    """.split()  # noqa: SIM905
)


def format_json(shard: Shard, allow_reserved: Collection[str] = ()) -> str:
    """An object of strings, numbers and booleans; dates are strings in their TOML form."""
    import json

    return json.dumps({key: _jsonable(key, value) for key, value in shard.items()}, indent=2) + "\n"


def format_toml(shard: Shard, allow_reserved: Collection[str] = ()) -> str:
    """Each value as the companion writes it into a definition; every kind of value keeps its type."""
    return "".join(f"{format_key(key)} = {format_literal(value)}\n" for key, value in shard.items())


def format_dotenv(shard: Shard, allow_reserved: Collection[str] = ()) -> str:
    """A line ``NAME='…'`` for each value, for python-dotenv."""
    texts = shard.environ(allow_reserved=allow_reserved)
    return "".join(f"{name}={_dotenv_quote(name, text)}\n" for name, text in texts.items())


def format_shell(shard: Shard, allow_reserved: Collection[str] = ()) -> str:
    """A line ``export NAME='…'`` for each value, for ``eval`` or ``.`` in any POSIX shell."""
    texts = shard.environ(allow_reserved=allow_reserved)
    return "".join(f"export {_shell_name(name)}={_shell_quote(text)}\n" for name, text in texts.items())


FORMATS: dict[str, Callable[[Shard, Collection[str]], str]] = {
    "dotenv": format_dotenv,
    "json": format_json,
    "shell": format_shell,
    "toml": format_toml,
}


def _jsonable(key: str, value: Value) -> str | int | float | bool:
    if isinstance(value, float) and value - value != 0:
        raise OperatorError(f"{key!r}: JSON has no infinity and no NaN", "--format toml has")
    if isinstance(value, int) and abs(value) > JSON_INTEGER_LIMIT:
        raise OperatorError(
            f"{key!r}: an integer so large that many a JSON parser rounds it",
            "--format toml keeps it; or make it a string in the definition",
        )
    return value if isinstance(value, str | int | float) else format_value(value)


def _dotenv_quote(name: str, text: str) -> str:
    if "${" in text:
        raise OperatorError(
            f"{name!r}: its value holds ${{, which readers of .env files replace",
            "use another format, or coffer-client run",
        )
    escaped = text.replace("\\", "\\\\")
    if "\r" not in text:
        return "'" + escaped.replace("'", "\\'") + "'"
    # A carriage return between single quotes would be read as a newline; only double quotes have an escape for it.
    return '"' + escaped.replace('"', '\\"').replace("\r", "\\r") + '"'


def _shell_name(name: str) -> str:
    if name in SHELL_NAMES:
        raise OperatorError(f"{name!r}: a name that shells keep for themselves", "use another format")
    return name


def _shell_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
