"""What the operator has set: flags over a settings file over the defaults, each checked before anything starts.

The settings file is TOML, its names those of the flags without the dashes in front.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from coffer import files
from coffer.definition import LIMIT_BYTES
from coffer.errors import IdError, SettingsError
from coffer.identity import parse_id
from coffer.program import read_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

DEFAULT_LISTEN = "127.0.0.1:26333"
SETTINGS_LIMIT_BYTES = 1 << 20
NUMBER_LIMIT = 1_000_000_000
WORKERS_LIMIT = 1024

# name -> default, metavar, help. Lists may be given several times.
FLAGS: dict[str, tuple[Any, str, str]] = {
    "key": ([], "FILE", "the server's key file; twice while the key is rotated"),
    "companion": ([], "ID", "the id of a companion whose definitions are served; may be repeated"),
    "definition": ("", "FILE", "the sealed definition"),
    "listen": ([DEFAULT_LISTEN], "HOST:PORT", f"where to listen; may be repeated (default: {DEFAULT_LISTEN})"),
    "workers": (0, "N", "worker processes (default: one a core)"),
    "verbose": (False, "", "a line for each session: client name, result, duration"),
    "reload-on-change": (False, "", "look at the definition once a second and reload it when it has changed"),
    "run-dir": ("", "DIR", "where the control socket for `coffer-server reload` lies (default: $RUNTIME_DIRECTORY)"),
    "state-dir": ("", "DIR", "remembers the newest serial, so that a restart refuses an older definition"
                  " (default: $STATE_DIRECTORY)"),
    "definition-limit": (LIMIT_BYTES, "SIZE", "the largest definition, in bytes or as 64MiB (default: 64MiB)"),
    "max-connections": (10_000, "N", "connections a worker (default: 10000)"),
    "max-connections-per-source": (256, "N", "connections from one address a worker; 0: no limit (default: 256)"),
    "failing-hellos-per-source": ("20:40", "RATE:BURST",
                                  "failing Hellos a second from one address a worker; 0: no limit (default: 20:40)"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings of a server. Sizes are in bytes."""

    key: tuple[str, ...]
    companion: frozenset[bytes]
    definition: str
    listen: tuple[str, ...]
    workers: int
    verbose: bool
    reload_on_change: bool
    run_dir: str
    state_dir: str
    definition_limit: int
    max_connections: int
    max_connections_per_source: int
    failing_hellos_per_source: tuple[float, float]


class Found(NamedTuple):
    """What a setting is, unchecked, and where it was said, for the error."""

    place: str
    value: Any


def add_flags(parser: ArgumentParser) -> None:
    """Give the parser a flag for every setting, and ``--settings``."""
    parser.add_argument("--settings", metavar="FILE", help="read settings from a TOML file; flags go before it")
    for name, (default, metavar, text) in FLAGS.items():
        if isinstance(default, bool):
            parser.add_argument(f"--{name}", action="store_true", default=None, help=text)
        elif isinstance(default, list):
            parser.add_argument(f"--{name}", action="append", metavar=metavar, help=text)
        else:
            parser.add_argument(f"--{name}", metavar=metavar, help=text)


def load_settings(flags: Namespace) -> Settings:
    """Return the settings that flags, file and defaults give together. Raises SettingsError."""
    named = _load_file(flags.settings) if flags.settings else {}
    found: dict[str, Found] = {}
    for name, (default, _, _) in FLAGS.items():
        flag = getattr(flags, name.replace("-", "_"))
        found[name] = Found(f"--{name}", default if flag is None else flag)
        if flag is None and name in named:
            found[name] = Found(f"{flags.settings}: {name}", _typed(flags.settings, name, named[name], default))
    return _checked(found)


def _load_file(path: str) -> dict[str, Any]:
    import tomli

    try:
        named = tomli.loads(files.load(path, SETTINGS_LIMIT_BYTES).decode())
    except (tomli.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    for name in named:
        if name not in FLAGS:
            raise SettingsError(f"{path}: {name}: no such setting", f"the settings are {', '.join(FLAGS)}")
    return named


def _typed(path: str, name: str, value: Any, default: Any) -> Any:
    """A value of the file in the type of its flag: numbers and sizes may be either, one text may be a list."""
    if isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, list):
        value = [value] if isinstance(value, str) else value
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
    else:
        fits = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    if not fits:
        raise SettingsError(f"{path}: {name}: a value of the wrong type")
    if any("\0" in str(each) for each in (value if isinstance(value, list) else [value])):
        raise SettingsError(f"{path}: {name}: a NUL character, which no name has", "write it without \\u0000")
    return value


def _checked(found: dict[str, Found]) -> Settings:
    return Settings(
        key=_keys(*found["key"]),
        companion=_companions(*found["companion"]),
        definition=_definition(*found["definition"]),
        listen=_addresses(*found["listen"]),
        workers=_number(*found["workers"], most=WORKERS_LIMIT) or len(os.sched_getaffinity(0)),
        verbose=found["verbose"].value,
        reload_on_change=found["reload-on-change"].value,
        run_dir=_directory(*found["run-dir"], "RUNTIME_DIRECTORY"),
        state_dir=_directory(*found["state-dir"], "STATE_DIRECTORY"),
        definition_limit=_size(*found["definition-limit"]),
        max_connections=_number(*found["max-connections"], least=1),
        max_connections_per_source=_number(*found["max-connections-per-source"]),
        failing_hellos_per_source=_bucket(*found["failing-hellos-per-source"]),
    )


def _keys(place: str, paths: list[str]) -> tuple[str, ...]:
    if not paths:
        raise SettingsError("--key is missing", "coffer-companion keygen -o server.key makes a key file")
    if len(paths) > 2:
        raise SettingsError(f"{place}: a server has one key, or two while it is rotated")
    return tuple(paths)


def _companions(place: str, ids: list[str]) -> frozenset[bytes]:
    if not ids:
        raise SettingsError(
            "--companion is missing: whose definitions may be served?",
            "coffer-companion id companion.key prints the id",
        )
    return frozenset(_companion(place, text) for text in ids)


def _companion(place: str, text: str) -> bytes:
    try:
        return parse_id(text)
    except IdError as error:
        raise SettingsError(f"{place}: {text!r}: {error}", "coffer-companion id FILE prints it") from None


def _definition(place: str, path: str) -> str:
    if not path:
        raise SettingsError("--definition is missing", "coffer-companion seal makes a sealed definition")
    return path


def _directory(place: str, path: str, variable: str) -> str:
    """The directory that is named, else the first one that the service manager made, else none."""
    if not path:
        place, path = f"${variable}", first_directory(variable)
    if path and not os.path.isdir(path):
        raise SettingsError(f"{place}: {path}: not a directory", f"mkdir -m 0700 {path}")
    return path


def first_directory(variable: str) -> str:
    """The first of the directories in an environment variable of the service manager, or ""."""
    return os.environ.get(variable, "").partition(":")[0]


def _addresses(place: str, texts: list[str]) -> tuple[str, ...]:
    if not texts:
        raise SettingsError(f"{place}: no address", f"leave it out to listen on {DEFAULT_LISTEN}")
    return tuple(_address(place, text) for text in texts)


def _address(place: str, text: str) -> str:
    """``HOST:PORT`` as it was given, if that is what it is."""
    host, colon, port = text.rpartition(":")
    brackets = host.startswith("["), host.endswith("]")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535 or all(brackets) != (":" in host):
        raise SettingsError(f"{place}: {text!r} is not HOST:PORT", "an IPv6 address stands in brackets: [::1]:26333")
    if not host:
        raise SettingsError(
            f"{place}: {text!r} names no host",
            f"say so if every address is meant: 0.0.0.0{text} for IPv4, [::]{text} for IPv6",
        )
    return text


def _number(place: str, value: str | int, least: int = 0, most: int = NUMBER_LIMIT) -> int:
    try:
        number = int(value)
    except ValueError:
        raise SettingsError(f"{place}: {value!r} is not a whole number") from None
    if number < least:
        raise SettingsError(f"{place}: at least {least}")
    if number > most:
        raise SettingsError(f"{place}: at most {most}")
    return number


def _size(place: str, value: str | int) -> int:
    try:
        return read_size(str(value))
    except ValueError as error:
        raise SettingsError(f"{place}: {error}") from None


def _bucket(place: str, value: str | int) -> tuple[float, float]:
    rate, colon, burst = str(value).partition(":")
    try:
        bucket = float(rate), float(burst) if colon else float(rate) * 2
    except ValueError:
        raise SettingsError(f"{place}: {value!r} is not RATE:BURST, such as 20:40") from None
    if not 0 <= bucket[0] < float("inf") or (bucket[0] and not 1 <= bucket[1] < float("inf")):
        raise SettingsError(f"{place}: a rate of 0 or more and a burst of at least 1")
    return bucket
