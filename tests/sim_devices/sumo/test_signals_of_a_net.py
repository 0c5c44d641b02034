"""Phases, stages and conflicts that are derived from nets, ordinary and awkward."""

from __future__ import annotations

from itertools import combinations

import pytest

from edge_server.signals.layout import layouts
from protocol.site_check import faults
from sim_devices.errors import NetUnreadable
from sim_devices.sumo.net import read_net
from sim_devices.sumo.programme import Programme, Step
from sim_devices.sumo.signals import clusters, derive
from sim_devices.sumo.site import make_site, timetable_of
from tests.sim_devices.sumo.sumo_nets import NETS, make, programmes


def derived(name, folder):
    path = make(name, folder)
    net = read_net(path)
    told = {
        light: Programme(tuple(Step(int(duration * 1000), signs) for duration, signs in steps))
        for light, steps in programmes(path).items()
        if light in net.signals
    }
    found = [
        derive(net, lights, [told[one] for one in lights], number)
        for number, lights in enumerate(clusters(net, told), 1)
    ]
    return net, [one for one in found if one is not None]


@pytest.mark.parametrize("name", NETS)
def test_a_derived_site_is_one_that_may_be_steered(name, tmp_path):
    net, steered = derived(name, tmp_path)
    assert steered
    site = make_site(net, steered)
    # Yellow is as the net has it, which ITE's formula may find short.
    wrong = [one for one in faults(site) if "yellow_s" not in one.text and "plan" not in one.where]
    assert wrong == []
    plans = layouts(site)
    for one in steered:
        timetable = timetable_of(one)
        layout = plans[one.intersection.id]
        assert timetable.slots[-1].end_ms == timetable.cycle_ms
        assert {slot.stage for slot in timetable.slots} <= layout.stages.keys()


@pytest.mark.parametrize("name", NETS)
def test_ways_that_cross_are_green_together_only_where_the_programme_shows_them_so(name, tmp_path):
    net, steered = derived(name, tmp_path)
    for one in steered:
        shown = [step.greens for step in one.programme.steps]
        links = {group.phase: group.links for group in one.groups}
        for phases in one.stages.values():
            for a, b in combinations(sorted(phases), 2):
                crossing = any(
                    net.crosses(x, y) for i in links[a] for j in links[b] for x in one.ways[i] for y in one.ways[j]
                )
                if crossing:
                    assert any(links[a][0] in greens and links[b][0] in greens for greens in shown)


def test_a_protected_left_turn_is_a_phase_of_its_own_and_makes_a_dual_ring(tmp_path):
    net, [one] = derived("left-turns", tmp_path)
    assert len(one.groups) == 8
    layout = layouts(make_site(net, [one]))[one.intersection.id]
    assert layout.rings is not None
    assert [[len(ring) for ring in group] for group in layout.rings.groups] == [[2, 2], [2, 2]]


def test_a_crossing_is_a_pedestrian_phase_with_time_to_walk_off(tmp_path):
    _, [one] = derived("crossings", tmp_path)
    walkers = [phase for phase in one.intersection.phases if phase.kind == "pedestrian"]
    assert len(walkers) == 4
    for phase, group in zip(walkers, [group for group in one.groups if group.pedestrian], strict=True):
        assert phase.pedestrian_clearance_s >= group.length_m / 1.2


def test_a_damaged_net_is_told(tmp_path):
    path = make("one-lane", tmp_path)
    path.write_bytes(path.read_bytes()[:2_000])
    with pytest.raises(NetUnreadable):
        read_net(path)
