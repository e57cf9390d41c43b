"""The coffer response: shard to CBOR and back, with an encoder and a decoder of its own.

Rule 1: the decoder only has to understand the right form. What it read is encoded again, and anything but
the same bytes is refused: long forms, other NaNs, dates written otherwise and trailing bytes all fall there.
"""

import math
import struct
from collections.abc import Mapping
from datetime import date, datetime, time

from .fault import Fault

Value = str | int | float | bool | date | time
Shard = Mapping[str, Value]

LIMIT_BYTES = 65_279
OFFSET_TAG, DATE_TAG, LOCAL_TAG = 0, 1004, 0xC0FFEE


def encode(shard: Shard) -> bytes:
    pairs = (_map(key, value) for key, value in shard.items())
    data = _head(4, len(shard)) + b"".join(pairs)
    if len(data) > LIMIT_BYTES:
        raise Fault(f"a response of {len(data)} bytes")
    return data


def _map(key: str, value: Value) -> bytes:
    if not key or "\0" in key:
        raise Fault("a key that is empty or holds a NUL")
    return b"\xa2" + _text("key") + _text(key) + _text("value") + encode_value(value)


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * size:
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise Fault("an integer over 64 bits")


def _text(text: str) -> bytes:
    data = text.encode()
    return _head(3, len(data)) + data


def encode_value(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    return _text(value) if isinstance(value, str) else _moment(value)


def _integer(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise Fault("an integer outside 64 bits")
    return _head(0, value) if value >= 0 else _head(1, -1 - value)


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for head, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            data = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, data)[0] == value:
            return head + data
    return b"\xfb" + struct.pack(">d", value)


def _moment(value: date | time) -> bytes:
    if isinstance(value, datetime) and value.tzinfo:
        return _head(6, OFFSET_TAG) + _text(_offset_text(value))
    tag = LOCAL_TAG if isinstance(value, datetime | time) else DATE_TAG
    return _head(6, tag) + _text(value.isoformat())


def _offset_text(value: datetime) -> str:
    """An offset with seconds is no TOML: cut here, it no longer equals what a decoder was given."""
    local = value.replace(tzinfo=None).isoformat()
    offset = value.isoformat().removeprefix(local)[:6]
    return local + ("Z" if offset == "+00:00" else offset)


def decode(data: bytes) -> dict[str, Value]:
    """Return the shard in ``data``; raise Fault for whatever ``encode`` would not have written."""
    shard = _Reader(data).shard()
    if encode(shard) != data:
        raise Fault("a response in another form than the one allowed")
    return shard


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise Fault("a response that is cut")
        self._at += size
        return piece

    def _read_head(self) -> tuple[int, int]:
        """Return major type and argument; for major 7 the argument is the low five bits themselves."""
        byte = self._take(1)[0]
        major, info = byte >> 5, byte & 31
        if major == 7 or info < 24:
            return major, info
        if info > 27:
            raise Fault("an indefinite or reserved length")
        return major, int.from_bytes(self._take(1 << info - 24), "big")

    def shard(self) -> dict[str, Value]:
        major, count = self._read_head()
        if major != 4:
            raise Fault("a response that is no array")
        shard: dict[str, Value] = {}
        for _ in range(count):
            key, value = self._pair()
            if key in shard:
                raise Fault("a key that comes twice")
            shard[key] = value
        return shard

    def _pair(self) -> tuple[str, Value]:
        if self._read_head() != (5, 2) or self._text() != "key":
            raise Fault("a member that is no key and value")
        key = self._text()
        if self._text() != "value":
            raise Fault("a member without a value")
        return key, self._value(*self._read_head())

    def _text(self) -> str:
        major, size = self._read_head()
        if major != 3:
            raise Fault("no text where a text belongs")
        return self._utf8(size)

    def _utf8(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise Fault("a text that is not UTF-8") from None

    def _value(self, major: int, argument: int) -> Value:
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 3:
            return self._utf8(argument)
        if major == 6:
            return parse_moment(argument, self._text())
        return self._simple(argument) if major == 7 else self._no_value()

    def _simple(self, info: int) -> Value:
        if info in (20, 21):
            return info == 21
        if info not in (25, 26, 27):
            return self._no_value()
        size, form = {25: (2, ">e"), 26: (4, ">f"), 27: (8, ">d")}[info]
        number: float = struct.unpack(form, self._take(size))[0]
        return number

    def _no_value(self) -> Value:
        raise Fault("something that is no value")


def parse_moment(tag: int, text: str) -> Value:
    parse = {OFFSET_TAG: datetime.fromisoformat, DATE_TAG: date.fromisoformat, LOCAL_TAG: _local}.get(tag)
    if not parse:
        raise Fault(f"tag {tag}")
    try:
        return parse(text)
    except ValueError:
        raise Fault("not a date or time") from None


def _local(text: str) -> datetime | time:
    if "T" in text:
        return datetime.fromisoformat(text)
    if "+" in text or "-" in text:
        raise ValueError("a local time has no zone")
    return time.fromisoformat(text)
