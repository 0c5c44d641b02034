"""Numbers and lengths of time, as people write and say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assistant.understanding.durations import durations
from models.assistant.understanding.numbers import listed, numbers


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("to 30", 30),
        ("0.75 please", 0.75),
        ("to -5", -5),
        ("1,500 mm", 1500),
        ("at 80%", 80),
        ("twenty-five", 25),
        ("forty five", 45),
        ("five hundred", 500),
        ("a hundred", 100),
        ("two hundred and fifty", 250),
        ("one thousand", 1000),
        ("two thousand five hundred", 2500),
        ("one point five", 1.5),
        ("point six", 0.6),
        ("minus three", -3),
        ("half", 0.5),
        ("a dozen", 12),
        ("zero", 0),
        ("pi-5", 5),
        ("10k", 10_000),
        ("nil", 0),
    ],
)
def test_a_number(said: str, value: float) -> None:
    [found] = numbers(said)
    assert found.value == value
    assert isinstance(found.value, int) == (value == int(value))


def test_numbers_next_to_each_other_stay_apart() -> None:
    assert [one.value for one in numbers("five twenty")] == [5, 20]
    assert [one.value for one in numbers("from 10 to twenty")] == [10, 20]


@pytest.mark.parametrize("said", ["someone", "often", "tension", "weight", "no number", "10:30", "x2y"])
def test_no_number(said: str) -> None:
    assert not [one for one in numbers(said) if one.spoken or said == "no number"]


@given(st.integers(0, 999))
def test_a_spelled_number_is_read_back(value: int) -> None:
    assert [one.value for one in numbers(spelled(value))] == [value]


def spelled(value: int) -> str:
    ones = listed(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
        " sixteen seventeen eighteen nineteen"
    )
    tens = listed("twenty thirty forty fifty sixty seventy eighty ninety")
    if value < 20:
        return ones[value]
    if value < 100:
        return tens[value // 10 - 2] + (f"-{ones[value % 10]}" if value % 10 else "")
    rest = f" and {spelled(value % 100)}" if value % 100 else ""
    return f"{ones[value // 100]} hundred{rest}"


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ("in the last half hour", 30),
        ("over the past two hours", 120),
        ("a quarter of an hour", 15),
        ("three quarters of an hour", 45),
        ("an hour and a half", 90),
        ("two and a half hours", 150),
        ("1.5 hours", 90),
        ("1h30", 90),
        ("1 hour and 20 minutes", 80),
        ("past hour", 60),
        ("the last hr", 60),
        ("last 15 min", 15),
        ("15min", 15),
        ("90-minute window", 90),
        ("forty-five minutes", 45),
        ("a couple of hours", 120),
        ("for half a day", 720),
        ("last 24 hours", 1440),
        ("the last five", 5),
        ("90 seconds", 2),
        ("hourly", 60),
        ("the past quarter", 15),
        ("the previous quarter of an hour", 15),
        ("the last quarter-hour", 15),
        ("over the hour", 60),
        ("the last 20'", 20),
        ("forty odd minutes", 40),
        ("the previous day", 1440),
    ],
)
def test_a_duration(said: str, minutes: int) -> None:
    [found] = durations(said)
    assert found.whole_minutes == minutes


@pytest.mark.parametrize("said", ["cam 5", "the last one", "at 5 metres", "second lane", "our minute book", "5 mice"])
def test_no_duration(said: str) -> None:
    assert durations(said) == []


@given(st.text(max_size=60))
def test_places_lie_within_the_text(said: str) -> None:
    for one in [*numbers(said.lower()), *durations(said.lower())]:
        assert 0 <= one.start < one.end <= len(said.lower())
