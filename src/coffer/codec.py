"""A shard as the coffer response, and back: deterministic CBOR, as docs/protocol.md fixes it.

Not here: frames and boxes (the core), and what a value may be (``shard``). Writing goes through cbor2, loaded
with the first shard that is written, for it costs 13 ms and ``coffer-client run`` only reads. Reading is our
own: cbor2 takes trailing bytes, keys that come twice, indefinite lengths, any tag and long forms.

Rule 1: exactly the bytes that ``encode`` writes are read; whatever else arrives is a FrameError, not a value.
Rule 2: an error names the byte at fault and the reason, never content; no exception with content hangs on it.
"""

from __future__ import annotations

from coffer.errors import FrameError
from coffer.message import SHARD_LIMIT_BYTES
from coffer.shard import Shard, fault_of, format_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime, time
    from typing import NoReturn

    from coffer.shard import Value

OFFSET_TAG = 0
DATE_TAG = 1004
LOCAL_TAG = 0xC0FFEE

_POSITIVE, _NEGATIVE, _TEXT, _ARRAY, _TAG = 0, 1, 3, 4, 6
_FALSE, _TRUE = 0xF4, 0xF5
_FLOATS = {0xF9: (">e", 2), 0xFA: (">f", 4), 0xFB: (">d", 8)}
_PLAIN_KINDS = {str, int, bool}


def encode(shard: Mapping[str, Value]) -> bytes:
    """Return the coffer response for a shard, or for a dict in which ``shard.fault_of`` finds no fault.

    Length is the caller's to check: ``message.SHARD_LIMIT_BYTES``.
    """
    import cbor2

    # Strings, integers and booleans have one form in cbor2; only floats need canonical=True, which costs
    # three times as much. "key" before "value" is the canonical order already.
    if _PLAIN_KINDS.issuperset(map(type, shard.values())):
        return cbor2.dumps([{"key": key, "value": value} for key, value in shard.items()])
    items = [{"key": key, "value": _taggable(value)} for key, value in shard.items()]
    return cbor2.dumps(items, canonical=True)


def decode(response: bytes) -> Shard:
    """Return the shard in a coffer response; raise FrameError for anything that ``encode`` does not write."""
    return _Reader(response).shard()


def count(response: bytes) -> int:
    """Return how many values a coffer response holds, as its head says."""
    return _Reader(response)._argument(_ARRAY)


def _taggable(value: Value) -> object:
    if isinstance(value, str | int | float):
        return value
    import cbor2

    return cbor2.CBORTag(_tag_of(value), format_value(value))


def _tag_of(moment: datetime | date | time) -> int:
    from datetime import datetime, time

    if isinstance(moment, datetime):
        return LOCAL_TAG if moment.tzinfo is None else OFFSET_TAG
    return LOCAL_TAG if isinstance(moment, time) else DATE_TAG


class _Reader:
    """One pass over the bytes of a response. A length is checked before anything is cut by it."""

    __slots__ = ("_at", "_response")

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._at = 0

    def shard(self) -> Shard:
        """Return the shard that the whole of the response is. Raises FrameError."""
        if len(self._response) > SHARD_LIMIT_BYTES:
            self._refuse(f"more than {SHARD_LIMIT_BYTES:,} bytes")
        values: dict[str, Value] = {}
        for _ in range(self._argument(_ARRAY)):
            key, value = self._pair()
            if key in values:
                self._refuse("a key that comes twice")
            values[key] = value
        if self._at != len(self._response):
            self._refuse("bytes after the end")
        return Shard(values)

    def _pair(self) -> tuple[str, Value]:
        self._skip(b"\xa2\x63key")
        key = self._text()
        self._skip(b"\x65value")
        value = self._value()
        fault = fault_of(key, value)
        return self._refuse(fault) if fault else (key, value)

    def _value(self) -> Value:
        initial = self._peek()
        if initial in _FLOATS:
            return self._float(*_FLOATS[initial])
        if initial in (_FALSE, _TRUE):
            self._at += 1
            return initial == _TRUE
        major = initial >> 5
        if major == _TEXT:
            return self._text()
        if major == _TAG:
            return self._moment(self._argument(_TAG), self._text())
        return -1 - self._argument(_NEGATIVE) if major == _NEGATIVE else self._argument(_POSITIVE)

    def _text(self) -> str:
        text = _parse_text(self._take(self._argument(_TEXT)))
        return text if text is not None else self._refuse("text that is not UTF-8")

    def _float(self, form: str, size: int) -> float:
        from struct import unpack

        self._at += 1
        raw = self._take(size)
        value: float = unpack(form, raw)[0]
        return value if raw == _shortest(value) else self._refuse("a float not in its shortest form")

    def _moment(self, tag: int, text: str) -> Value:
        moment = _parse_moment(tag, text)
        if moment is None or _tag_of(moment) != tag or format_value(moment) != text:
            return self._refuse("a tag or date form that coffer does not have")
        return moment

    def _argument(self, major: int) -> int:
        """Read the head of an item of this major type and return its number, which is a value or a length."""
        initial = self._take(1)[0]
        if initial >> 5 != major or initial & 31 > 27:
            self._refuse("an item that may not stand here")
        if initial & 31 < 24:
            return initial & 31
        size = 1 << ((initial & 31) - 24)
        number = int.from_bytes(self._take(size), "big")
        shorter_limit = 24 if size == 1 else 1 << (4 * size)
        return number if number >= shorter_limit else self._refuse("a number not in its shortest form")

    def _skip(self, expected: bytes) -> None:
        if self._take(len(expected)) != expected:
            self._refuse("an entry that is not a key and a value")

    def _peek(self) -> int:
        return self._response[self._at] if self._at < len(self._response) else self._refuse("a cut response")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._response):
            self._refuse("a cut response")
        start, self._at = self._at, end
        return self._response[start:end]

    def _refuse(self, reason: str) -> NoReturn:
        raise FrameError(f"coffer response, byte {self._at}: {reason}")


def _shortest(value: float) -> bytes:
    from struct import pack, unpack

    if value != value:
        return b"\x7e\x00"
    for form in (">e", ">f"):
        try:
            raw = pack(form, value)
        except OverflowError:
            continue
        if unpack(form, raw)[0] == value:
            return raw
    return pack(">d", value)


def _parse_text(raw: bytes) -> str | None:
    """Decode, without letting out the exception, which would carry the bytes."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _parse_moment(tag: int, text: str) -> datetime | date | time | None:
    from datetime import date, datetime, time

    try:
        if tag == DATE_TAG:
            return date.fromisoformat(text)
        return time.fromisoformat(text) if text[2:3] == ":" else datetime.fromisoformat(text)
    except ValueError:
        return None
