"""The simulated controller by itself: its plan, its calls, its faults."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from edge_server.cabinet.wire import Report
from protocol.ids import BootId, PhaseId
from sim_devices.controller import core
from sim_devices.controller.core import AspectsChanged, Called, Injected, State, Tick
from sim_devices.controller.wiring import Wiring
from tests.edge_server.signals.signal_sites import crossing, random_intersections

BOOT = BootId("00000000000000aa")


def boot() -> State:
    return core.boot(Wiring.of(crossing()), BOOT, 0)


def run(state: State, seconds: float) -> tuple[State, list[core.Effect]]:
    found: list[core.Effect] = []
    for _ in range(round(seconds * 10)):
        state, effects = core.step(state, Tick(100))
        found.extend(effects)
    return state, found


@settings(max_examples=40, deadline=None)
@given(intersection=random_intersections())
def test_alone_it_runs_the_sites_plan_and_serves_every_phase(intersection):
    state = core.boot(Wiring.of(intersection), BOOT, 0)
    served: set[PhaseId] = set()
    for _ in range(2 * state.wiring.plan.cycle_ms // 500):
        state, effects = run(state, 0.5)
        for effect in effects:
            if isinstance(effect, AspectsChanged):
                served |= {phase for phase, aspect in effect.aspects.items() if aspect in ("green", "walk")}
    assert served == {phase.id for phase in intersection.phases}
    assert state.control == "local"


def test_walk_ends_early_enough_for_clearance_to_end_with_the_green():
    state = boot()
    seen: list[tuple[str, str]] = []
    for _ in range(200):
        state, _ = run(state, 0.1)
        seen.append((state.aspects[PhaseId(2)], state.aspects[PhaseId(12)]))
    assert ("green", "walk") in seen
    assert ("green", "pedestrian-clearance") in seen
    assert ("yellow", "pedestrian-clearance") not in seen


def test_a_heartbeat_comes_twice_a_second_and_on_every_change():
    _, effects = run(boot(), 10)
    reports = [effect for effect in effects if isinstance(effect, Report)]
    changes = [effect for effect in effects if isinstance(effect, AspectsChanged)]
    assert [report.counter for report in reports] == list(range(1, len(reports) + 1))
    assert len(reports) >= 20
    for change in changes:
        following = effects[effects.index(change) + 1]
        assert isinstance(following, Report)
        assert {one.phase: one.aspect for one in following.phases} == change.aspects


def test_a_call_is_told_until_it_is_served():
    state, _ = run(boot(), 3)
    state, effects = core.step(state, Called(PhaseId(14)))
    assert next(one for one in effects if isinstance(one, Report)).calls == ((14, 0),)
    state, effects = run(state, 60)
    calls = [one.calls for one in effects if isinstance(one, Report)]
    assert calls[0][0][0] == 14
    assert calls[-1] == ()


def test_a_call_for_a_phase_that_is_green_or_unknown_is_none():
    state, _ = run(boot(), 3)
    for phase in (PhaseId(2), PhaseId(99)):
        state, _ = core.step(state, Called(phase))
    assert state.calls == {}


def test_conflicting_lamps_trip_the_monitor_until_it_is_reset():
    state, _ = run(boot(), 3)
    state, effects = core.step(state, Injected("conflict"))
    report = next(one for one in effects if isinstance(one, Report))
    assert report.control == "flash"
    assert "conflict monitor" in (report.fault or "")
    assert set(state.aspects.values()) == {"red"}
    state, effects = run(state, 5)
    assert state.control == "flash"
    state, _ = core.step(state, Injected(None))
    state, _ = run(state, 5)
    assert state.control == "local"
    assert "green" in state.aspects.values()


def test_a_dead_controller_is_dark_and_says_nothing():
    state, _ = run(boot(), 3)
    state, effects = core.step(state, Injected("dead"))
    assert effects == (AspectsChanged(state.aspects, "flash", dark=True),)
    state, effects = run(state, 5)
    assert effects == []
    state, _ = core.step(state, Injected(None))
    state, effects = run(state, 5)
    assert any(isinstance(one, Report) for one in effects)


@pytest.mark.parametrize("mode", ["deaf", "contrary", "slow"])
def test_other_faults_leave_its_own_plan_alone(mode):
    state, _ = core.step(boot(), Injected(mode))
    state, _ = run(state, 3)
    assert state.control == "local"
    assert "green" in state.aspects.values()
