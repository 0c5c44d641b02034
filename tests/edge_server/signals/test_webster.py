"""Webster's splits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.signals.layout import layouts
from edge_server.signals.webster import retimed
from tests.edge_server.signals.signal_sites import crossing, random_intersections, site

LAYOUT = layouts(site(crossing()))["north"]


def flows(layout, veh_h):
    return {(road.id, lane.id): veh_h for road in layout.approaches for lane in road.lanes}


def green_ms(layout):
    return {slot.stage: slot.green_end_ms - slot.start_ms for slot in layout.plan.slots}


def test_who_has_more_gets_more():
    heavy = {key: 900.0 if layout_serves(key, "ew") else 200.0 for key in flows(LAYOUT, 0)}
    greens = green_ms(retimed(LAYOUT, heavy))
    assert max(greens, key=greens.get).startswith("ew")


def layout_serves(key, stage):
    lanes = {(road.id, lane.id): lane for road in LAYOUT.approaches for lane in road.lanes}
    return not lanes[key].phases.isdisjoint(LAYOUT.stages[stage].phases)


def test_more_traffic_makes_a_longer_cycle():
    assert retimed(LAYOUT, flows(LAYOUT, 300)).plan.cycle_ms <= retimed(LAYOUT, flows(LAYOUT, 700)).plan.cycle_ms


def test_without_flows_the_plan_stays():
    assert retimed(LAYOUT, {}) is LAYOUT


@given(random_intersections(), st.floats(1, 2_000))
@settings(max_examples=40, deadline=None)
def test_every_stage_keeps_its_least_times(intersection, veh_h):
    for layout in layouts(site(intersection)).values():
        plan = retimed(layout, flows(layout, veh_h)).plan
        assert [slot.stage for slot in plan.slots] == [slot.stage for slot in layout.plan.slots]
        assert plan.slots[-1].end_ms == pytest.approx(plan.cycle_ms)
        for slot in plan.slots:
            least = max(layout.phases[one].least_ms for one in slot.phases)
            assert slot.green_end_ms - slot.start_ms >= least
