"""The simulated NTCIP controller: whatever is written to it, its own times and its barrier hold."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.cabinet.ntcip import objects
from sim_devices.errors import SimulatedPhasesUnfit
from sim_devices.ntcip import core, tables
from sim_devices.ntcip.card import RINGS, SIDES, Card, Times
from sim_devices.ntcip.core import State
from sim_devices.ntcip.monitor import Monitor, watch
from tests.edge_server.signals.signal_sites import crossing
from tests.sim_devices.cabinet.benches import DESCRIBED

TIMES = Times(min_green_ms=4_000, max_ms=12_000, yellow_ms=3_000, red_ms=1_000)
WALKING = Times(min_green_ms=4_000, max_ms=12_000, yellow_ms=3_000, red_ms=1_000, walk_ms=4_000, clear_ms=5_000)
EIGHT = Card({one: WALKING if one % 2 == 0 else TIMES for one in range(1, 9)}, (frozenset({2, 5}),), backup_s=10)
SOME = st.frozensets(st.integers(1, 8), max_size=4)
EVENTS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(objects.CONTROLS), SOME),
    st.tuples(st.just("pattern"), st.sampled_from([0, 254]), SOME),
    st.tuples(st.just("preempt"), st.booleans(), SOME),
    st.tuples(st.just("call"), st.booleans(), st.frozensets(st.integers(1, 8), min_size=1, max_size=1)),
)


def act(state: State, kind, value, phases) -> State:
    if kind == "write":
        return core.write(state, {value: phases})
    if kind == "pattern":
        return core.write(state, {}, pattern=value)
    if kind == "preempt":
        return core.write(state, {}, preempts={1: value})
    return core.call(state, min(phases), walks=value and min(phases) % 2 == 0)


def conflicts(one: int, other: int) -> bool:
    same_ring = any({one, other} <= set(ring) for ring in RINGS)
    return same_ring or not any({one, other} <= side for side in SIDES)


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_whatever_is_written_nothing_conflicts_and_own_times_hold(events):
    state = core.boot(EIGHT, 0)
    since: dict[tuple[int, str], tuple[str, int]] = {}
    for kind, value, phases in [*events, ("pattern", 0, frozenset())]:
        state = act(state, kind, value, phases)
        for _ in range(40):
            state = core.advance(state, 200)
            shown = state.outputs
            lit = sorted(one for one, output in shown.items() if output != ("red", "dont-walk"))
            assert not any(conflicts(a, b) for a, b in combinations(lit, 2)), lit
            assert state.flash is None
            for one, (vehicle, walk) in shown.items():
                least = {"green": 4_000, "yellow": 3_000, "walk": 4_000, "clear": 5_000}
                for name, aspect in (("vehicle", vehicle), ("walk", walk)):
                    was, at_ms = since.get((one, name), (aspect, -99_999))
                    if was == aspect:
                        since.setdefault((one, name), (aspect, state.now_ms))
                        continue
                    assert state.now_ms - at_ms + 200 >= least.get(was, 0) or at_ms < 0, (one, was)
                    since[one, name] = (aspect, state.now_ms)
            for one, (vehicle, walk) in shown.items():
                assert walk == "dont-walk" or vehicle == "green", (one, vehicle, walk)


def test_alone_it_serves_all_eight_and_their_walks():
    state, served = core.boot(EIGHT, 0), set()
    for _ in range(400):
        state = core.advance(state, 200)
        served |= {(one, aspect) for one, output in state.outputs.items() for aspect in output}
    assert {one for one, aspect in served if aspect == "green"} == set(range(1, 9))
    assert {one for one, aspect in served if aspect == "walk"} == {2, 4, 6, 8}


def test_holds_and_calls_are_over_when_the_backup_time_is():
    state = core.advance(core.boot(EIGHT, 0), 5_000)
    state = core.write(state, {objects.HOLD: frozenset({1, 5}), objects.VEH_CALL: frozenset({1})}, pattern=254)
    state = core.advance(state, 9_000)
    assert (state.pattern, tables.read(state, objects.UNIT_CONTROL_STATUS)) == (254, 2)
    state = core.advance(state, 1_200)
    assert (state.pattern, dict(state.columns), tables.read(state, objects.UNIT_CONTROL_STATUS)) == (0, {}, 4)


def test_each_write_begins_the_backup_time_anew():
    state = core.write(core.boot(EIGHT, 0), {objects.HOLD: frozenset({1})})
    for _ in range(4):
        state = core.write(core.advance(state, 6_000), {objects.HOLD: frozenset({1})})
    assert state.columns[objects.HOLD] == {1}


def test_a_force_off_is_taken_back_when_its_green_ends():
    state = core.advance(core.boot(EIGHT, 0), 2_000)
    (green, *_) = (one for one, head in state.heads.items() if head.vehicle == "green")
    state = core.write(state, {objects.FORCE_OFF: frozenset({green})})
    assert state.heads[green].vehicle == "green"
    state = core.advance(state, 5_000)
    assert state.heads[green].vehicle != "green"
    assert green not in state.columns[objects.FORCE_OFF]


def test_a_railway_outranks_what_is_written():
    state = core.write(core.boot(EIGHT, 0), {objects.VEH_CALL: frozenset({4, 8})}, pattern=254)
    state = core.spoil(state, "railway")
    for _ in range(80):
        state = core.write(core.advance(state, 500), {objects.HOLD: frozenset({4, 8})})
    assert {one for one, head in state.heads.items() if head.vehicle == "green"} == {2, 5}
    assert tables.read(state, objects.preempt_state(1)) == 6


@pytest.mark.parametrize("fault", ["conflict", "short-yellow"])
def test_its_monitor_trips_and_stays_so_until_it_is_reset(fault):
    state = core.spoil(core.advance(core.boot(EIGHT, 0), 3_000), fault)
    state = core.advance(state, 40_000)
    assert state.flash is not None
    assert tables.read(state, objects.UNIT_FLASH_STATUS) == 6
    assert tables.read(state, objects.status(objects.GREENS, 1)) == 0
    state = core.advance(core.spoil(state, None), 3_000)
    assert state.flash is None
    assert any(head.vehicle == "green" for head in state.heads.values())


def test_the_monitor_alone():
    fine = {2: ("green", "dont-walk"), 6: ("green", "walk"), 4: ("red", "dont-walk")}
    assert watch(Monitor(), fine, 0).tripped is None
    assert watch(Monitor(), fine | {4: ("red", "walk")}, 0).tripped == "conflict of channels 2 and 4"
    yellow = watch(Monitor(), fine | {2: ("yellow", "dont-walk")}, 0)
    assert watch(yellow, fine | {2: ("red", "dont-walk")}, 2_000).tripped == "short yellow on channel 2"
    assert watch(yellow, fine | {2: ("red", "dont-walk")}, 3_000).tripped is None


def test_what_is_no_control_object_can_not_be_written():
    state = core.boot(EIGHT, 0)
    for oid in (objects.UNIT_BACKUP_TIME, objects.status(objects.GREENS, 1), (1, 3, 6, 1, 99)):
        with pytest.raises(tables.Refused):
            tables.change(state, {objects.control(objects.HOLD, 1): 1, oid: 1})


def test_a_site_with_other_numbers_is_refused():
    with pytest.raises(SimulatedPhasesUnfit):
        Card.of(crossing(), type(DESCRIBED)(address="here", phases=((12, 2), (14, 14))))
