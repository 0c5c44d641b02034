"""The laws of a calendar that a wrong clock can't hurry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.store.calendar import GRACE_MS, HOUR_MS, JUMP_MS, Calendar

NOW_MS = 1_790_000_000_000
DAY_MS = 24 * HOUR_MS


def passed(calendar: Calendar, ms: int, step_ms: int = HOUR_MS) -> Calendar:
    for _ in range(ms // step_ms):
        calendar = calendar.look(calendar.wall_ms + step_ms, calendar.mono_ms + step_ms)
    return calendar


@given(st.lists(st.integers(0, 30 * 60_000), max_size=40), st.integers(-HOUR_MS, HOUR_MS))
def test_a_clock_that_only_runs_is_believed(steps: list[int], drift_ms: int) -> None:
    calendar = Calendar(NOW_MS, 0)
    for step_ms in steps:
        calendar = calendar.look(calendar.wall_ms + step_ms + drift_ms // 100, calendar.mono_ms + step_ms)
        assert calendar.believed_ms == calendar.wall_ms


@given(st.integers(JUMP_MS + 1, 4_000 * DAY_MS), st.integers(0, 23))
def test_a_jump_ahead_ages_nothing_for_a_day(jump_ms: int, hours: int) -> None:
    calendar = Calendar(NOW_MS, 0).look(NOW_MS + jump_ms, 0)
    calendar = passed(calendar, hours * HOUR_MS)
    assert calendar.believed_ms == NOW_MS + hours * HOUR_MS
    assert passed(calendar, GRACE_MS).believed_ms == NOW_MS + jump_ms + hours * HOUR_MS + GRACE_MS


@given(st.integers(JUMP_MS + 1, 4_000 * DAY_MS), st.integers(0, 20))
def test_a_clock_that_was_put_right_is_believed_at_once(jump_ms: int, hours: int) -> None:
    wrong = passed(Calendar(NOW_MS, 0).look(NOW_MS + jump_ms, 0), hours * HOUR_MS)
    right = wrong.look(NOW_MS + hours * HOUR_MS, wrong.mono_ms)
    assert right.believed_ms == right.wall_ms
    assert right.was_put_right(wrong)
    assert not passed(wrong, GRACE_MS).was_put_right(wrong)


@given(st.integers(JUMP_MS + 1, 400 * DAY_MS), st.integers(JUMP_MS + 1, 400 * DAY_MS))
def test_jumps_add_up(first_ms: int, second_ms: int) -> None:
    calendar = Calendar(NOW_MS, 0).look(NOW_MS + first_ms, 0).look(NOW_MS + first_ms + second_ms, 0)
    assert calendar.believed_ms == NOW_MS


@given(st.integers(JUMP_MS + 1, 4_000 * DAY_MS))
def test_a_restart_does_not_end_the_doubt(jump_ms: int) -> None:
    """What came in under the wrong clock bears its time, so the newest row is of today; the doubt is kept beside it."""
    wrong = Calendar(NOW_MS, 0).look(NOW_MS + jump_ms, 0)
    again = Calendar(wrong.wall_ms, 50, wrong.doubt).look(wrong.wall_ms + 60_000, 50)
    assert again.believed_ms == NOW_MS + 60_000


@given(st.integers(0, 4_000 * DAY_MS))
def test_a_clock_that_is_behind_forgets_nothing_more(back_ms: int) -> None:
    calendar = Calendar(NOW_MS, 0).look(NOW_MS - back_ms, 0)
    assert calendar.believed_ms == NOW_MS - back_ms
