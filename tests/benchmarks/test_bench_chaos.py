"""Chaos for real, a little of it; and the laws of its schedule and of its judge, which could otherwise overlook all."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chaos import judge
from benchmarks.chaos.bench import measure
from benchmarks.chaos.controllers import Line
from benchmarks.chaos.ledger import Entry, Ledger, entries
from benchmarks.chaos.schedule import KINDS, LEAST_GAP_S, WAYS, schedule
from benchmarks.chaos.site import AGENTS
from benchmarks.wall import ShiftedClock, shift
from node.broker.mosquitto import find_mosquitto
from node.clock import SystemClock
from node.identity import Identity
from protocol.ids import DeviceId
from protocol.messages import Alarm

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@needs_mosquitto
@pytest.mark.timeout(240)
def test_a_few_faults_lose_and_double_nothing() -> None:
    figures = measure(faults=3, seed=5)
    assert figures.faults == 3
    assert figures.alarms > 10
    assert (figures.alarms_lost, figures.events_duplicated, figures.unplanned_controllers) == (0, 0, 0)
    assert figures.recovery_s.never == 0, figures.problems


@needs_mosquitto
@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_so_do_more_of_every_kind() -> None:
    figures = measure(faults=48, seed=6, sites=2)
    assert figures.faults == 48
    assert (figures.alarms_lost, figures.events_duplicated, figures.unplanned_controllers) == (0, 0, 0)
    assert figures.recovery_s.never == 0, figures.problems
    assert figures.certificates_renewed
    assert not figures.died


@given(st.integers(1, 80), st.text("abc/123", max_size=5))
def test_a_schedule_is_its_seed_s_own_and_keeps_its_distance(count: int, seed: str) -> None:
    drawn = schedule(count, seed, KINDS, AGENTS)
    assert drawn == schedule(count, seed, KINDS, AGENTS)
    assert len(drawn) == count
    assert all(one.gap_s >= LEAST_GAP_S and one.way in WAYS[one.kind] for one in drawn)
    each = [sum(one.kind == kind for one in drawn) for kind in KINDS]
    assert max(each) - min(each) <= 1


@given(st.text("abc", min_size=1, max_size=5))
def test_an_agent_is_not_killed_while_only_its_memory_holds_alarms(seed: str) -> None:
    drawn = schedule(200, seed, KINDS, AGENTS)
    for before, fault in pairwise(drawn):
        if before.kind == "disk" and fault.kind == "agent" and before.target == fault.target:
            assert fault.waits


def test_a_clock_is_as_wrong_as_its_file_says(tmp_path) -> None:
    file = tmp_path / "wall"
    assert abs(ShiftedClock(file).wall_ms() - SystemClock().wall_ms()) < 60_000
    shift(file, -7_200.0)
    assert abs(ShiftedClock(file).wall_ms() + 7_200_000 - SystemClock().wall_ms()) < 60_000


def said(seq: int, step: str = "kept", text: str = "") -> Entry:
    return Entry(step, "pi", "b1", seq, "chaos-tick", text or str(seq))  # type: ignore[arg-type]


def test_what_was_kept_and_is_not_stored_is_lost() -> None:
    ledger = [said(1, "made"), said(1), said(2, "made"), said(2), said(3, "made")]
    assert judge.alarms_lost(ledger, [("pi", "b1", 1), ("pi", "b0", 2)]) == [said(2)]
    assert judge.alarms_lost(ledger, [("pi", "b1", 2), ("pi", "b1", 1)]) == []


def test_a_copy_counts_by_its_number_and_by_its_content() -> None:
    assert judge.duplicated([("pi", "b1", 1, "1"), ("pi", "b1", 2, "2"), ("pj", "b1", 1, "1")]) == 0
    assert judge.duplicated([("pi", "b1", 1, "1"), ("pi", "b2", 5, "1")]) == 1
    assert judge.duplicated([("pi", "b1", 1, ""), ("pi", "b1", 1, "")]) == 1


def look(at_s: float, control: str = "local", shown: str = "a", life: str = "l1") -> Line:
    return Line("look", life, "x", round(at_s * 1000), control, shown)


def seconds(start: int, end: int, **more: str) -> list[Line]:
    return [look(at, **more) for at in range(start, end)]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (seconds(0, 60) + seconds(60, 100, shown="b"), 0),
        (seconds(0, 80), 1),
        (seconds(0, 80, control="edge"), 0),
        (seconds(0, 160, control="edge"), 1),
        (seconds(0, 60, control="edge") + seconds(60, 115), 0),
        (seconds(0, 10) + seconds(10, 20, control="flash"), 1),
        (seconds(0, 10) + seconds(30, 40), 1),
        (seconds(0, 10) + seconds(30, 40, life="l2"), 0),
        ([], 1),
    ],
    ids=["moves", "stands", "edge-waits", "edge-stands", "takes-over", "flashes", "unmoved", "restarted", "unseen"],
)
def test_a_controller_without_a_plan_is_found(lines: list[Line], found: int) -> None:
    assert len(judge.unplanned(lines, "x", step_ms=70_000)) == found


def test_a_ledger_that_was_cut_short_keeps_its_other_lines(tmp_path) -> None:
    path = tmp_path / "ledger"
    identity = Identity(DeviceId("pi"), SystemClock())

    def alarm(text: str) -> Alarm:
        return Alarm(**identity.accounted(), alarm="tick", subject="pi", severity="info", active=True, text=text)

    with closing(Ledger(path)) as ledger:
        ledger.write("made", alarm("1"))
    path.write_bytes(path.read_bytes()[:-4])
    with closing(Ledger(path)) as ledger:
        ledger.write("made", alarm("2"))
    assert [one.text for one in entries(path)] == ["2"]
