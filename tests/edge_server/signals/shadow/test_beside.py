"""Shadowing in a world that is known: what it estimates, beside what comes of it when ours really steers."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from edge_server.signals.calling import wanted_phases
from edge_server.signals.controller import Decide, controller
from edge_server.signals.layout import Layout, layouts
from edge_server.signals.safety import Memory, Proposal, judge, sent
from edge_server.signals.shadow.beside import GAP_MS, Beside
from edge_server.signals.sight import Sight, Vehicles
from edge_server.signals.view import View
from protocol.ids import IntersectionId
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, site

NORTH = IntersectionId("north")
STEP_MS = 500
# Vehicles an hour: the plan gives both roads the same, and they don't bring the same.
FLOWS = {"north-e": 500, "north-w": 450, "north-n": 120, "north-s": 100}


class World:
    """Vehicles one by one: seen 60 m before the stop line, there after 6 s, passing one every two seconds of green once
    two seconds of it are over."""

    def __init__(self, seed: int = 1, flows: dict[str, float] = FLOWS) -> None:
        self.layout: Layout = layouts(site())[NORTH]
        self.plant = Plant(crossing())
        self.random = Random(seed)
        self.flows = flows
        self.coming: dict[str, deque[int]] = {one: deque() for one in FLOWS}
        self.waiting = dict.fromkeys(FLOWS, 0)
        self.next_ms = dict.fromkeys(FLOWS, 0)
        self.waited_ms = 0
        self.came = 0
        self.plant.obey(frozenset({2, 6}))
        self.memory = Memory()

    def step(self) -> None:
        self.plant.advance(STEP_MS)
        now_ms = self.plant.now_ms
        for approach in self.layout.approaches:
            name = approach.id
            if self.random.random() < self.flows[name] * STEP_MS / 3_600_000:
                self.coming[name].append(now_ms + 6_000)
                self.came += 1
            while self.coming[name] and self.coming[name][0] <= now_ms:
                self.coming[name].popleft()
                self.waiting[name] += 1
            (phase,) = approach.lanes[0].phases
            green_ms = now_ms - self.plant.since_ms[phase] if self.plant.serving(phase) else 0
            if self.waiting[name] and green_ms > 2_000 and now_ms >= self.next_ms[name]:
                self.waiting[name] -= 1
                self.next_ms[name] = now_ms + 2_000
            self.waited_ms += self.waiting[name] * STEP_MS

    def sights(self) -> dict[str, Sight]:
        now_ms = self.plant.now_ms
        return {
            name: Sight(now_ms, (Vehicles(self.waiting[name] + len(self.coming[name]), 0.0, self.waiting[name]),))
            for name in FLOWS
        }

    def view(self) -> View:
        return View.of(self.plant.heartbeat(), self.plant.now_ms)

    def plan(self) -> None:
        self.plant.obey(frozenset(self.layout.plan.phases_at(self.plant.now_ms)))

    def steer(self, decide: Decide) -> None:
        view, sights, now_ms = self.view(), self.sights(), self.plant.now_ms
        decision = decide(self.layout, sights, view, now_ms)
        self.memory, verdict = judge(
            self.layout,
            self.memory,
            view,
            Proposal("ours", decision.stage),
            wanted=wanted_phases(self.layout, sights, now_ms),
            now_ms=now_ms,
        )
        self.plant.obey(frozenset(verdict.command.phases))
        self.memory = sent(self.memory, verdict.command, now_ms)


def shadowed(world: World, decide: Decide, minutes: int, *, steered: bool = False) -> Beside:
    """steered: the real controller is ours itself."""
    beside = Beside(world.layout, decide)
    memory = Memory()
    for _ in range(minutes * 60_000 // STEP_MS):
        world.step()
        view, sights, now_ms = world.view(), world.sights(), world.plant.now_ms
        decision = decide(world.layout, sights, view, now_ms)
        memory, verdict = judge(
            world.layout,
            memory,
            view,
            Proposal("ours", decision.stage),
            wanted=wanted_phases(world.layout, sights, now_ms),
            now_ms=now_ms,
        )
        walking = world.layout.pedestrians
        agrees = frozenset(verdict.command.phases) - walking == view.target - walking
        beside.look(view, sights, verdict, now_ms, agrees=agrees)
        if steered:
            world.steer(decide)
        else:
            world.plan()
    return beside


@pytest.mark.parametrize("load", [0.4, 1.0, 1.4])
def test_the_estimate_is_near_what_comes_of_it_when_ours_steers(load):
    decide = controller("kinflow")
    flows = {name: load * flow for name, flow in FLOWS.items()}
    watched, steered = World(flows=flows), World(flows=flows)
    tally = shadowed(watched, decide, 20).tally
    for _ in range(20 * 60_000 // STEP_MS):
        steered.step()
        steered.steer(decide)
    assert tally.arrived == pytest.approx(watched.came, rel=0.1)
    assert tally.real.queue_vehicle_ms == pytest.approx(watched.waited_ms, rel=0.25)
    assert tally.ours.queue_vehicle_ms == pytest.approx(steered.waited_ms, rel=0.35)
    found = tally.ours.queue_vehicle_ms / tally.real.queue_vehicle_ms
    assert found < 0.8
    assert found == pytest.approx(steered.waited_ms / watched.waited_ms, abs=0.2)


def test_ours_beside_itself_is_the_same():
    tally = shadowed(World(), controller("kinflow"), 15, steered=True).tally
    assert tally.agreed_ms / tally.compared_ms > 0.9
    assert tally.ours.queue_vehicle_ms == pytest.approx(tally.real.queue_vehicle_ms, rel=0.25)


def test_green_and_cycles_are_those_of_the_plan():
    tally = shadowed(World(), controller("fixed-time"), 20).tally
    assert tally.compared_ms == pytest.approx(20 * 60_000, rel=0.01)
    for phase in (2, 4, 6, 8):
        assert tally.real.green_ms[phase] / tally.compared_ms == pytest.approx(20 / 48, abs=0.02)
    assert tally.real.cycle_ms / tally.real.cycles == pytest.approx(48_000, abs=600)
    assert tally.ours.green_ms[2] == pytest.approx(tally.real.green_ms[2], rel=0.02), "ours would follow the same plan"
    assert tally.seen_lane_ms == tally.lane_ms


def test_what_no_camera_sees_is_told_and_not_guessed():
    world = World()
    beside = Beside(world.layout, controller("kinflow"))
    layout = world.layout
    for _ in range(600):
        world.step()
        view, sights, now_ms = world.view(), world.sights(), world.plant.now_ms
        del sights["north-e"], sights["north-w"]
        _, verdict = judge(layout, Memory(), view, Proposal("ours", "ns"), wanted=frozenset(), now_ms=now_ms)
        beside.look(view, sights, verdict, now_ms, agrees=False)
        world.plan()
    assert beside.tally.seen_lane_ms * 2 == beside.tally.lane_ms
    assert beside.tally.agreed_ms == 0
    before = beside.tally.compared_ms
    world.plant.advance(GAP_MS + 1_000)
    beside.look(world.view(), world.sights(), verdict, world.plant.now_ms, agrees=False)
    assert beside.tally.compared_ms == before, "a gap is not compared"
