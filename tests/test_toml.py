"""What is written as TOML is read as the same by another program's parser."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone

import tomli
from hypothesis import given
from hypothesis import strategies as st

from coffer.toml import format_key, format_literal, is_same

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
VALUES = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text(st.sampled_from("a\"'\\\n\r\t\0\x7f# "))
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.datetimes(timezones=OFFSETS)
)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), VALUES)
def test_a_line_is_read_as_the_key_and_value_that_were_written(key: str, value: object) -> None:
    read = tomli.loads(f"{format_key(key)} = {format_literal(value)}\n")
    assert read == {key: value}
    assert type(read[key]) is type(value)


def test_what_is_not_equal_to_itself_or_has_a_sign_is_kept_too() -> None:
    assert math.isnan(tomli.loads(f"x = {format_literal(math.nan)}")["x"])
    assert math.copysign(1, tomli.loads(f"x = {format_literal(-0.0)}")["x"]) == -1


def test_several_lines_stay_several_lines_and_one_stays_one() -> None:
    assert format_literal('-----\n"key"\n-----\n') == '"""\n-----\n\\"key\\"\n-----\n"""'
    assert format_literal("one\n") == '"one\\n"'
    assert format_literal("\n\n") == '"\\n\\n"'


def test_a_moment_is_written_as_in_protocol_md() -> None:
    assert format_literal(datetime(2027, 1, 31, 7, 0, 0, 5, UTC)) == "2027-01-31T07:00:00.000005Z"
    assert (format_literal(date(2027, 1, 31)), format_literal(time(7))) == ("2027-01-31", "07:00:00")


def test_values_are_the_same_if_a_reader_cannot_tell_them_apart() -> None:
    same = ["1", "1.0", "true", "0.0", "-0.0", "nan", "inf", '"1"', "2027-01-31", '"2027-01-31"', "07:00:00"]
    same += ["2027-01-31T00:00:00Z", "2027-01-31T02:00:00+02:00", "2027-01-31T00:00:00", '"NaN"', '""']
    values = [tomli.loads(f"x = {each}")["x"] for each in same]
    again = [tomli.loads(f"x = {each}")["x"] for each in same]
    for at, value in enumerate(values):
        assert [is_same(value, other) for other in again] == [at == place for place in range(len(again))]


def test_no_value_is_the_same_as_no_value_only() -> None:
    assert is_same(None, None)
    assert not any(is_same(None, value) or is_same(value, None) for value in ("", 0, False, "None", 0.0))


@given(VALUES, VALUES)
def test_what_python_takes_for_unequal_is_never_the_same(one: object, other: object) -> None:
    assert one == other or not is_same(one, other)
    assert is_same(one, one)
