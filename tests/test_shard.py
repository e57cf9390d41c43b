"""Shard: what may stand in one, what is read from one, and that nothing shows or carries a value."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import MissingNameError, OperatorError
from coffer.shard import Shard, fault_of, format_value, kind_of

CANARY = "canary-7f3a"

ONE_OF_EACH: dict[str, Any] = {
    "text": "x",
    "integer": 3,
    "float": 0.5,
    "boolean": True,
    "offset": datetime(1979, 5, 27, 7, 32, tzinfo=UTC),
    "local": datetime(1979, 5, 27, 7, 32),
    "date": date(1979, 5, 27),
    "time": time(7, 32),
}


def test_a_shard_is_a_mapping_in_the_order_of_the_definition() -> None:
    shard = Shard([("b", 1), ("a", "x")])
    assert list(shard) == ["b", "a"]
    assert dict(shard) == {"b": 1, "a": "x"} == shard
    assert (len(shard), "a" in shard, "c" in shard, shard.get("c")) == (2, True, False, None)
    with pytest.raises(KeyError):
        shard["c"]


def test_a_shard_does_not_follow_the_dict_it_was_made_of() -> None:
    values: dict[str, Any] = {"a": 1}
    shard = Shard(values)
    values["a"] = 2
    assert shard["a"] == 1


def test_a_shard_cannot_be_changed_hashed_pickled_or_copied() -> None:
    shard: Any = Shard({"a": 1})
    for change in (
        lambda: shard.__setitem__("a", 2),
        lambda: shard.__delitem__("a"),
        lambda: setattr(shard, "other", 1),
    ):
        with pytest.raises(AttributeError):
            change()
    for carry in (hash, copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            carry(shard)


def test_no_way_of_printing_a_shard_shows_a_key_or_value() -> None:
    shard = Shard({CANARY: CANARY, "b": 1})
    shown = [repr(shard), str(shard), f"{shard}", f"{[shard]}", f"{shard!r:>40}"]
    assert {text.strip(" []") for text in shown} == {"<Shard of 2 values>"}
    assert repr(Shard({"a": 1})) == "<Shard of 1 value>"


def test_typed_access_returns_the_value_of_that_type() -> None:
    shard = Shard(ONE_OF_EACH)
    assert shard.text("text") == "x"
    assert shard.integer("integer") == 3
    assert shard.boolean("boolean") is True
    assert [shard.number("integer"), shard.number("float")] == [3, 0.5]
    assert [shard.moment(key) for key in ("offset", "local", "date", "time")] == list(ONE_OF_EACH.values())[4:]


def test_typed_access_takes_a_default_only_for_what_is_not_there() -> None:
    shard = Shard({"PORT": "x"})
    assert shard.integer("RETRIES", 3) == 3
    assert shard.boolean("DEBUG", False) is False
    with pytest.raises(OperatorError):
        shard.integer("PORT", 5432)


READERS = {
    "text": ({"text"}, "a string"),
    "integer": ({"integer"}, "an integer"),
    "number": ({"integer", "float"}, "a number"),
    "boolean": ({"boolean"}, "a boolean"),
    "moment": ({"offset", "local", "date", "time"}, "a date or time"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("key", ONE_OF_EACH)
def test_typed_access_refuses_every_other_type_by_its_name(reader: str, key: str) -> None:
    allowed, wanted = READERS[reader]
    read = getattr(Shard(ONE_OF_EACH), reader)
    if key in allowed:
        assert read(key) == ONE_OF_EACH[key]
        return
    with pytest.raises(OperatorError) as caught:
        read(key)
    assert str(caught.value) == f"{key!r}: {kind_of(ONE_OF_EACH[key])}, not {wanted}"
    assert caught.value.hint


def test_typed_access_to_an_absent_name_says_so() -> None:
    with pytest.raises(MissingNameError, match=r"^no value named 'PORT'$"):
        Shard().integer("PORT")


@pytest.mark.parametrize("value", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_each_of_the_eight_kinds_may_stand_in_a_shard(value: object) -> None:
    assert fault_of("a", value) is None


FAULTS = [
    ("", 1, "an empty key"),
    ("a\0b", 1, "a key that holds a NUL"),
    ("a", 2**63, "an integer outside 64 bits"),
    ("a", -(2**63) - 1, "an integer outside 64 bits"),
    ("a", [1], "an array is not a value"),
    ("a", {"b": 1}, "a table is not a value"),
    ("a", None, "NoneType is not a value"),
    ("a", b"x", "bytes is not a value"),
    ("a", time(1, 2, tzinfo=UTC), "a local time with an offset"),
    (
        "a",
        datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=75))),
        "an offset that is not whole minutes",
    ),
]


@pytest.mark.parametrize(("key", "value", "fault"), FAULTS)
def test_what_cannot_stand_in_a_shard_is_refused_by_its_reason(key: str, value: Any, fault: str) -> None:
    assert fault_of(key, value) == fault
    with pytest.raises(ValueError) as caught:
        Shard({key: value})
    assert str(caught.value) == f"{key!r}: {fault}"


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'a': a key that comes twice"):
        Shard([("a", 1), ("a", 2)])


FORMATTED = [
    ('"  as it is\\n"', "  as it is\n"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("1_000", "1000"),
    ("true", "true"),
    ("false", "false"),
    ("3.0", "3.0"),
    ("1e22", "1e+22"),
    ("-0.0", "-0.0"),
    ("-inf", "-inf"),
    ("-nan", "nan"),
    ("1979-05-27T07:32:00Z", "1979-05-27T07:32:00Z"),
    ("1979-05-27 07:32:00.5-00:00", "1979-05-27T07:32:00.500000Z"),
    ("1979-05-27T00:32:00.999999999-07:00", "1979-05-27T00:32:00.999999-07:00"),
    ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
    ("1979-05-27T07:32:00.0", "1979-05-27T07:32:00"),
    ("1979-05-27", "1979-05-27"),
    ("07:32:00", "07:32:00"),
    ("07:32:00.000001", "07:32:00.000001"),
]


@pytest.mark.parametrize(("toml", "text"), FORMATTED)
def test_a_value_is_formatted_as_protocol_md_has_it(toml: str, text: str) -> None:
    assert format_value(tomli.loads(f"a = {toml}")["a"]) == text


def moments() -> st.SearchStrategy[datetime | date | time]:
    zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    return st.datetimes() | st.datetimes(timezones=zones) | st.dates() | st.times()


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans() | moments())
def test_the_form_of_a_value_is_toml_for_that_value(value: Any) -> None:
    again = tomli.loads(f"a = {format_value(value)}")["a"]
    assert again == value
    assert kind_of(again) == kind_of(value)


def test_importing_shard_and_codec_loads_no_module_that_costs_start_up_time() -> None:
    """They stand on the way of ``coffer-client run``; cbor2 and datetime come when they are needed."""
    program = "import sys; old = {*sys.modules}; import coffer.codec; print(*{*sys.modules} - old)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {"coffer.codec", "coffer.shard"} <= loaded
    assert not loaded & {"cbor2", "collections", "dataclasses", "datetime", "json", "re", "struct", "typing"}
