"""The values of one client: what a key and a value may be, and how Python holds them.

Not here: how a shard crosses the wire (``codec``), how an operator writes one (``definition``), what an
environment can take of it (``environment``). This module is on the way of ``coffer-client run`` and
imports nothing that Python has not loaded by then; the date types come in with the first date.

Rule 1: what a key and a value may be is decided by ``fault_of`` and nowhere else.
Rule 2: no repr, error, pickle or copy shows or carries a value.
"""

from __future__ import annotations

from _collections_abc import Mapping

from coffer.errors import MissingNameError, OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import date, datetime, time
    from typing import NoReturn, TypeAlias

Value: TypeAlias = "str | int | float | bool | datetime | date | time"

INTEGER_MINIMUM = -(2**63)
INTEGER_MAXIMUM = 2**63 - 1

_KINDS = {
    str: "a string",
    int: "an integer",
    float: "a float",
    bool: "a boolean",
    list: "an array",
    dict: "a table",
}


class Shard(Mapping[str, Value]):
    """The values of one client, read-only, in the order of the definition.

    A mapping like any other, whose values keep the type they have in TOML; ``text()`` and its sisters also
    check that type, for programs that want one clear error rather than a surprise later.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        """Copy a mapping or (key, value) pairs; raise ValueError for what cannot stand in a shard."""
        self._values: dict[str, Value] = {}
        for key, value in values.items() if isinstance(values, Mapping) else values:
            fault = "a key that comes twice" if key in self._values else fault_of(key, value)
            if fault:
                raise ValueError(f"{key!r}: {fault}")
            self._values[key] = value

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Shard of {len(self)} value{'' if len(self) == 1 else 's'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Shard can neither be pickled nor copied")

    def text(self, key: str, default: str | None = None) -> str:
        """Return the string at ``key``, or ``default``. Raises MissingNameError, and OperatorError for another type."""
        value = self._find(key, default)
        return value if isinstance(value, str) else _refuse(key, value, "a string")

    def integer(self, key: str, default: int | None = None) -> int:
        """Return the integer at ``key``, or ``default``; a boolean is none. Raises as ``text`` does."""
        value = self._find(key, default)
        return value if type(value) is int else _refuse(key, value, "an integer")

    def number(self, key: str, default: float | None = None) -> float:
        """Return the integer or float at ``key``, as it stands: ``3`` stays the integer 3. Raises as ``text`` does."""
        value = self._find(key, default)
        return value if type(value) is int or type(value) is float else _refuse(key, value, "a number")

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """Return the boolean at ``key``, or ``default``; 0 and 1 are none. Raises as ``text`` does."""
        value = self._find(key, default)
        return value if isinstance(value, bool) else _refuse(key, value, "a boolean")

    def moment(self, key: str, default: datetime | date | time | None = None) -> datetime | date | time:
        """Return the date or time at ``key``, of whichever of TOML's four kinds it is. Raises as ``text`` does."""
        value = self._find(key, default)
        return _refuse(key, value, "a date or time") if isinstance(value, str | int | float) else value

    def environ(self, *, prefix: str = "", allow_reserved: Collection[str] = ()) -> dict[str, str]:
        """Return the values as environment variables: text in its TOML form, names after ``prefix``.

        Raises OperatorError, naming the key, for what no environment can hold, and for a name such as PATH that
        changes what a program does unless it is among ``allow_reserved``.
        """
        from .environment import variables

        return variables({key: format_value(value) for key, value in self.items()}, prefix, allow_reserved)

    def _find(self, key: str, default: Value | None) -> Value:
        value = self._values.get(key, default)
        if value is None:
            raise MissingNameError(f"no value named {key!r}", "add it to the table of this client")
        return value


def fault_of(key: str, value: object) -> str | None:
    """Say in words that show neither why this pair cannot stand in a shard, or return None if it can."""
    if not key:
        return "an empty key"
    if "\0" in key:
        return "a key that holds a NUL"
    kind = type(value)
    if kind is str or kind is bool or kind is float:
        return None
    if type(value) is int:
        return None if INTEGER_MINIMUM <= value <= INTEGER_MAXIMUM else "an integer outside 64 bits"
    return _fault_of_moment(value)


def kind_of(value: object) -> str:
    """Name the TOML type of a value, with its article: what an error says in place of the value."""
    return _KINDS.get(type(value)) or _kind_of_moment(value)


def format_value(value: Value) -> str:
    """Return a string as it is, and any other value in its TOML form (docs/protocol.md for the dates)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = value.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def _fault_of_moment(value: object) -> str | None:
    from datetime import date, datetime, time, timedelta

    if type(value) is datetime:
        partial = (value.utcoffset() or timedelta()) % timedelta(minutes=1)
        return "an offset that is not whole minutes" if partial else None
    if type(value) is time:
        return "a local time with an offset" if value.tzinfo else None
    return None if type(value) is date else f"{kind_of(value)} is not a value"


def _kind_of_moment(value: object) -> str:
    from datetime import date, datetime, time

    if type(value) is datetime:
        return "an offset date-time" if value.tzinfo else "a local date-time"
    names: dict[type, str] = {date: "a local date", time: "a local time"}
    return names.get(type(value), type(value).__name__)


def _refuse(key: str, value: Value, wanted: str) -> NoReturn:
    raise OperatorError(
        f"{key!r}: {kind_of(value)}, not {wanted}",
        "change the value in the definition, or the type that the program asks for",
    )
