"""The board and the pace: laws that hold for every order of changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.gateway.board import Board
from edge_server.gateway.pace import Pace
from edge_server.gateway.projection import vital_signs
from edge_server.gateway.views import ApproachView, CameraView, EventView, Shown
from node.clock import ManualClock
from node.identity import Identity
from protocol.ids import DeviceId
from protocol.messages import Health, UpdateOutcome, UpdateState
from protocol.messages.health import ClockState

names = st.sampled_from("abcde")
steps = st.lists(st.tuples(st.sampled_from(["approach", "camera", "remove"]), names), max_size=40)


def act(board: Board, step: tuple[str, str]) -> None:
    what, name = step
    if what == "approach":
        board.put(ApproachView(id=name, name=str(board.revision)))
    elif what == "camera":
        board.put(CameraView(id=name, device=str(board.revision)))
    else:
        board.remove(ApproachView, name)


def contents(board: Board) -> dict[tuple[str, str], Shown]:
    return {(type(view).kind, str(view.id)): view for kind in (ApproachView, CameraView) for view in board.all(kind)}


@given(steps, steps)
def test_a_reader_with_an_old_copy_and_the_changes_since_has_the_board(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    board = Board()
    for step in before:
        act(board, step)
    copy, cursor = contents(board), board.revision
    for step in after:
        act(board, step)
    changes = board.since(cursor)
    assert changes is not None
    for change in changes:
        if change.view is None:
            copy.pop((change.kind, change.id), None)
        else:
            copy[change.kind, change.id] = change.view
    assert copy == contents(board)
    assert [change.revision for change in changes] == sorted({change.revision for change in changes})


@given(st.integers(1, 60), st.integers(0, 60))
def test_a_bounded_kind_keeps_the_newest_and_says_when_a_reader_missed_some(count: int, cursor: int) -> None:
    board = Board({EventView: 10})
    for i in range(count):
        board.put(EventView(id=i, at_ms=0, what="x", severity="info", device="", subject="", text=""))
    kept = [view.id for view in board.all(EventView)]
    assert kept == list(range(max(0, count - 10), count))
    changes = board.since(cursor)
    missed = cursor < count - 10 or cursor > count
    assert (changes is None) == missed
    if changes is not None:
        assert [change.id for change in changes] == [str(i) for i in range(cursor, count)]


@given(st.lists(st.tuples(names, st.integers(0, 80)), max_size=60))
def test_the_pace_shows_the_first_at_once_the_rest_seldom_and_the_last_always(offers: list[tuple[str, int]]) -> None:
    pace: Pace[tuple[str, int]] = Pace(every_ms=100)
    now_ms, shown, latest = 1_000, {}, {}
    for number, (name, wait_ms) in enumerate(offers):
        now_ms += wait_ms
        pace.offer(name, (name, number))
        latest[name] = number
        for key, value in pace.take(now_ms):
            assert now_ms - shown.get(key, (0, 0))[0] >= 100
            shown[key] = (now_ms, value)
        assert name in shown
    while (more_ms := pace.next_ms(now_ms)) is not None:
        now_ms += more_ms
        for key, value in pace.take(now_ms):
            shown[key] = (now_ms, value)
    assert {name: value for name, (_, value) in shown.items()} == latest


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, None),
        (UpdateState(version="1.1", phase="trial", target="1.2"), "update to 1.2: trial"),
        (
            UpdateState(version="1.1", phase="idle", last=UpdateOutcome(version="1.1", result="committed", at_ms=1)),
            None,
        ),
        (
            UpdateState(
                version="1.1",
                phase="idle",
                last=UpdateOutcome(version="1.2", result="rolled-back", at_ms=1, code="hung", text="it said nothing"),
            ),
            "update to 1.2 rolled-back: hung: it said nothing",
        ),
    ],
)
def test_a_device_tells_of_an_update_that_did_not_stay(state: UpdateState | None, words: str | None) -> None:
    health = Health(
        **Identity(DeviceId("pi-1"), ManualClock()).accounted(),
        uptime_s=1.0,
        rss_mb=1.0,
        cpu_percent=1.0,
        disk_free_mb=1.0,
        update=state,
    )
    assert vital_signs(health)["update"] == words


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        (None, None),
        (ClockState(source="none"), None),
        (ClockState(source="ntp", error_ms=20), None),
        (ClockState(source="edge", error_ms=95_000), "its clock may be off by 95 s"),
    ],
)
def test_a_device_whose_clock_is_off_is_told_of(clock: ClockState | None, words: str | None) -> None:
    health = Health(
        **Identity(DeviceId("pi-1"), ManualClock()).accounted(),
        uptime_s=1.0,
        rss_mb=1.0,
        cpu_percent=1.0,
        disk_free_mb=1.0,
        clock=clock,
    )
    assert vital_signs(health)["clock"] == words
