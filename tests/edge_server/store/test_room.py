"""The stages of a disk that fills: never a better one too early, never a worse one too late."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.store import disk as disk_module
from edge_server.store.disk import RESERVE, Disk
from edge_server.store.retention import Limits
from edge_server.store.room import CALM_MS, EASE, NO_STAGES, STAGES, Marks, State, step, worse

MARKS = Marks(low_mb=300.0)
FREE = st.floats(0.0, 1_000.0)


def test_each_stage_begins_at_its_mark() -> None:
    found = [step(State(), free, 0, MARKS).stage for free in (300.0, 299.0, 100.0, 99.0, 30.0, 29.0, 0.0)]
    assert found == ["ok", "low", "low", "very-low", "very-low", "full", "full"]


@given(st.sampled_from(STAGES), FREE, st.integers(0, 10**9))
def test_a_worse_stage_holds_at_once(stage, free_mb: float, now_ms: int) -> None:
    after = step(State(stage), free_mb, now_ms, MARKS).stage
    begun = [one for one in STAGES if free_mb < MARKS.begins_mb(one)][-1]
    assert not worse(begun, after)


@given(st.lists(st.tuples(FREE, st.integers(1, 3_000)), max_size=60))
def test_a_better_stage_comes_only_after_room_for_a_while(looks: list[tuple[float, int]]) -> None:
    state, now_ms, history = State(), 0, []
    for free_mb, passed_ms in looks:
        now_ms += passed_ms
        history.append((now_ms, free_mb))
        before, state = state.stage, step(state, free_mb, now_ms, MARKS)
        if worse(before, state.stage):
            lately = [free for at, free in history if at > now_ms - CALM_MS]
            assert min(lately) >= MARKS.begins_mb(before) * EASE


@given(st.sampled_from(STAGES[1:]), st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=40))
def test_free_space_that_trembles_about_a_mark_changes_the_stage_once(stage, trembles: list[float]) -> None:
    """A tenth up and down is less than what a stage is left by."""
    state, stages = State(), list[str]()
    for second, tremble in enumerate([-0.1, *trembles]):
        state = step(state, MARKS.begins_mb(stage) * (1 + tremble), second * 10 * CALM_MS, MARKS)
        stages.append(state.stage)
    assert set(stages) == {stage}


@given(FREE, st.sampled_from(STAGES))
def test_a_full_disk_keeps_alarms_and_commands_as_long_as_ever(days: float, stage) -> None:
    limits = Limits(observations_days=days)
    tight = limits.tightened(stage)
    assert (tight.alarms_days, tight.signal_log_days, tight.gaps_days) == (
        limits.alarms_days,
        limits.signal_log_days,
        limits.gaps_days,
    )
    assert tight.observations_days <= limits.observations_days
    assert tight.size_mb <= limits.size_mb


def test_the_reserve_is_given_up_when_full_and_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks, free = Marks(low_mb=60.0), [1_000.0]
    monkeypatch.setattr(disk_module, "_free_mb", lambda _: free[0])
    disk = Disk(tmp_path / "edge.db", marks)
    reserve = tmp_path / RESERVE
    assert not disk.look(0)
    assert reserve.stat().st_size == marks.reserve_mb * 1e6
    free[0] = 0.0
    assert disk.look(1_000)
    assert not reserve.exists()
    # What giving it up has set free is no recovery.
    free[0] = marks.reserve_mb
    assert not [now_ms for now_ms in range(2_000, 60_000, 1_000) if disk.look(now_ms)]
    assert not reserve.exists()
    free[0] = 1_000.0
    assert [disk.look(now_ms) for now_ms in (60_000, 62_000, 65_000)] == [False, False, True]
    assert (disk.stage, reserve.exists()) == ("ok", True)


def test_a_commit_that_found_no_room_gives_the_reserve_up_once(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "edge.db", Marks(low_mb=60.0))
    disk.look(0)
    assert disk.ran_out()
    assert (disk.stage, disk.takes_readings) == ("full", False)
    assert not disk.ran_out()


def test_no_stages_means_no_reserve(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "edge.db", NO_STAGES)
    disk.look(0)
    assert not disk.ran_out()
    assert (disk.stage, list(tmp_path.iterdir())) == ("ok", [])
