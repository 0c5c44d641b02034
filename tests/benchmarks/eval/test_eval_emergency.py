"""`kinflow eval emergency`: its windows, its figures, and that a run goes on where it was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.eval.emergency import Eyes, Kept, Result, judge, measure, planned, poisson_upper95, run
from benchmarks.eval.eyes import stand_in_eyes
from benchmarks.eval.windows import DISTRACTORS, SEEN_PX, distractor, event, seen_long_enough


def result(seed: int, subject: str, requested_ms: int | None, chance: float) -> Result:
    return Result(seed, subject, "day", 1_000 if subject == "event" else None, requested_ms, 2.0, chance, True)


def test_the_figures_follow_from_the_results() -> None:
    found = [result(n, "event", 2_000 if n else None, 0.95 if n else 0.2) for n in range(20)]
    found += [result(n, "tail-lights", 900 if n == 7 else None, 0.7 if n == 7 else 0.001) for n in range(200)]
    figures = judge(found, 500, "none")
    assert (figures.events, figures.distractors, figures.recall) == (20, 200, 0.95)
    assert figures.false_requests == 1
    assert figures.false_by_subject == {"tail-lights": 1}
    assert figures.false_per_camera_day_upper95 == pytest.approx(4.744 / 200 * 500, abs=0.01)
    assert (figures.p95_seconds_to_request, figures.p95_over_limit_s) == (1.0, -1.0)
    assert sum(one.windows for one in figures.reliability) == 220


@given(st.integers(0, 60))
def test_the_bound_grows_with_what_was_seen(count: int) -> None:
    assert count < poisson_upper95(count) < poisson_upper95(count + 1)


def test_nothing_seen_leaves_room_for_three() -> None:
    assert poisson_upper95(0) == pytest.approx(2.996, abs=0.001)


def test_windows_follow_from_their_seed_and_have_their_subject() -> None:
    assert event(5) == event(5)
    assert event(5) != event(6)
    assert event(5).vehicles[0].flashing
    for number, subject in enumerate(DISTRACTORS):
        window = distractor(number)
        assert window.subject == subject
        flashing = [one for one in window.vehicles if one.flashing]
        assert all(one.lights.works and set(one.lights.colours) == {"amber"} for one in flashing)
        assert bool(flashing) == (subject == "works-vehicle")
        assert bool(window.lamps) == (subject == "road-works")


def test_a_plan_has_as_many_of_each_as_it_says_and_every_event_can_be_seen() -> None:
    plan = list(planned(3, events=4, passes=20))
    asked = [one for one in plan if one.event]
    assert (len(asked), len(plan)) == (4, 24)
    assert all(seen_long_enough(one) for one in asked)
    assert len({(one.seed, one.subject) for one in plan}) == 24


def test_results_are_kept_and_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kept.jsonl"
    window = event(5)
    Kept(path).put(result(5, "event", 1_500, 0.9))
    with path.open("ab") as file:
        file.write(b'\n{"seed": 6, "subj')
    again = Kept(path)
    assert again.get(window) == result(5, "event", 1_500, 0.9)
    assert again.get(event(6)) is None


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    def never(seed: int) -> None:
        raise AssertionError("rendered again")

    kept = Kept(None)
    assert kept.get(event(5)) is None
    eyes = Eyes("none", never, {}, frozenset())  # type: ignore[arg-type]
    from benchmarks.eval.emergency import _key  # noqa: PLC0415

    store = Kept(tmp_path / f"emergency-{_key('none', 1)}.jsonl")
    for window in planned(1, events=1, passes=3):
        store.put(result(window.seed, window.subject, 1_500 if window.event else None, 0.5))
    figures = measure(eyes, 1.0, 1, quick=4, cache=tmp_path)
    assert (figures.events, figures.distractors, figures.recall) == (1, 3, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_whole_way_finds_an_ambulance_and_leaves_a_police_car_alone() -> None:
    eyes = stand_in_eyes()
    asked = next(one for one in map(event, range(100)) if seen_long_enough(one) and one.weather.name == "day")
    found = run(asked, eyes)
    assert found.visible_ms is not None
    assert found.requested_ms is not None
    assert run(distractor(0, "police-without-beacons"), eyes).requested_ms is None
    assert SEEN_PX > 0
