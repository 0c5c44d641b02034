"""J2735's clocks: minute of the year, milliseconds of the minute, tenths of a second of the hour; all UTC."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
# TimeMark: a moment of this hour or the next in tenths of a second; these two are none.
UNKNOWN_TIME = 36_001
LONGEST_MS = HOUR_MS - 60_000
# MinuteOfTheYear and DSecond that are not known.
UNKNOWN_MINUTE = 527_040


def minute_of_year(wall_ms: int) -> int:
    """MinuteOfTheYear (0..527040)."""
    return (wall_ms - _new_year_ms(wall_ms)) // MINUTE_MS


def d_second(wall_ms: int) -> int:
    """DSecond (0..59999): milliseconds within the minute."""
    return wall_ms % MINUTE_MS


def time_mark(wall_ms: int, now_ms: int) -> int:
    """TimeMark (0..35999); UNKNOWN_TIME for what is so far ahead that it would be read as another hour."""
    if wall_ms - now_ms > LONGEST_MS:
        return UNKNOWN_TIME
    return wall_ms % HOUR_MS // 100


def wall_of(minute: int, second: int, near_ms: int) -> int:
    """The Unix milliseconds of a MinuteOfTheYear and a DSecond, in the year in which they are nearest to near_ms.
    Raises ValueError when they are no moment."""
    if not (0 <= minute < UNKNOWN_MINUTE and 0 <= second < MINUTE_MS):
        raise ValueError("minute and second tell no moment")
    year = datetime.fromtimestamp(near_ms / 1000, UTC).year
    starts = [round(datetime(one, 1, 1, tzinfo=UTC).timestamp() * 1000) for one in (year - 1, year, year + 1)]
    return min((start + minute * MINUTE_MS + second for start in starts), key=lambda one: abs(one - near_ms))


def _new_year_ms(wall_ms: int) -> int:
    year = datetime.fromtimestamp(wall_ms / 1000, UTC).year
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)
