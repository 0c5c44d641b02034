"""Emergency vehicles of a simulation that ask for the signals on their way, and the pre-emption that answers.

Each tells the next two signals of its route when it will be there, at the speed limit, once a second from 400 m on; the
pre-emption is the edge's own machine (edge_server.signals.preemption) with the rules' usual terms.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from edge_server.signals.guide import NO_GUIDANCE, Guidance
from edge_server.signals.layout import Layout
from edge_server.signals.preemption.events import Cancel, Ended, Granted, Happening, Renew, Request, Tick
from edge_server.signals.preemption.machine import step
from edge_server.signals.preemption.state import State
from edge_server.signals.preemption.terms import terms_of
from edge_server.signals.preemption.wanted import calls, waiting_ms, wanted
from edge_server.signals.safety import Proposal
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId
from protocol.site import Site
from sim_devices.sumo.signal_loop import SignalLoop

PREFIX = "kinflow-ev-"
REACH_M = 400.0
AHEAD = 2


class LeaseGuide:
    """The pre-emption of one intersection, in the controller's place (edge_server.signals.guide.Guide)."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.begun = self.over = False

    def tell(self, event: Happening) -> None:
        self.state, effects = step(self.state, event)
        self.begun |= any(isinstance(one, Granted) for one in effects)
        self.over |= any(isinstance(one, Ended) for one in effects)

    def look(self, layout: Layout, view: View | None, called: frozenset[PhaseId], now_ms: int) -> Guidance:
        if view is None:
            return NO_GUIDANCE
        state = self.state
        if state.normal and not state.queue:
            return NO_GUIDANCE
        red_ms = waiting_ms(layout, view, called | calls(state), now_ms)
        self.tell(Tick(at_ms=now_ms, heard=True, red_ms=red_ms, serving=tuple(sorted(view.serving))))
        asked = wanted(self.state, layout, view, now_ms)
        proposal = None if asked is None else Proposal("pre-emption", asked.stage, asked.reason)
        return Guidance(proposal, calls(self.state))


class Emergencies:
    """Asks for every emergency vehicle of a running simulation, and takes the time until queues are as before."""

    def __init__(self, api: Any, loops: Sequence[SignalLoop], site: Site) -> None:
        self._api = api
        self._guides: dict[int, LeaseGuide] = {}
        self._links: dict[tuple[str, int], tuple[int, ApproachId]] = {}
        self._asked: dict[str, dict[int, ApproachId]] = {}
        self._sequence = 0
        self._before: dict[int, int] = {}
        self._ended_ms: dict[int, int] = {}
        self.recovered_s: list[float] = []
        self._lanes = [tuple(lane for lanes in loop.one.stop_lanes.values() for lane in lanes) for loop in loops]
        terms = terms_of(site)
        for at, loop in enumerate(loops):
            self._guides[at] = loop.guide = LeaseGuide(State(terms[loop.layout.intersection]))
            approach_of = {lane: name for name, lanes in loop.one.stop_lanes.items() for lane in lanes}
            base = 0
            for light, size in loop.one.lights:
                for index in range(size):
                    for way in loop.one.ways.get(base + index, ()):
                        if way.from_lane in approach_of:
                            self._links[light, index] = (at, approach_of[way.from_lane])
                base += size

    def look(self, now_ms: int) -> None:
        vehicle = self._api.vehicle
        here = {one for one in vehicle.getIDList() if one.startswith(PREFIX)}
        for gone in self._asked.keys() - here:
            self._cancel(gone, frozenset(), now_ms)
        for name in here:
            ahead: dict[int, ApproachId] = {}
            arrives_s: dict[int, float] = {}
            speed_mps = max(1.0, vehicle.getAllowedSpeed(name))
            for light, index, distance_m, _ in vehicle.getNextTLS(name)[:AHEAD]:
                if distance_m <= REACH_M and (light, index) in self._links:
                    at, approach = self._links[light, index]
                    ahead.setdefault(at, approach)
                    arrives_s.setdefault(at, distance_m / speed_mps)
            self._cancel(name, ahead.keys(), now_ms)
            for at, approach in ahead.items():
                self._ask(name, at, approach, round(arrives_s[at] * 1000), now_ms)
        self._recover(now_ms)

    def _ask(self, name: str, at: int, approach: ApproachId, arrives_in_ms: int, now_ms: int) -> None:
        self._sequence += 1
        known = self._asked.setdefault(name, {})
        kind = Renew if at in known else Request
        known[at] = approach
        self._guides[at].tell(
            kind(
                at_ms=now_ms, vehicle=name, request=0, sequence=self._sequence, role="ambulance", approach=approach,
                arrives_in_ms=arrives_in_ms, evidence=("dispatched",),
            )
        )  # fmt: skip

    def _cancel(self, name: str, but: Collection[int], now_ms: int) -> None:
        known = self._asked.get(name, {})
        for at in tuple(known):
            if at not in but:
                del known[at]
                self._sequence += 1
                self._guides[at].tell(Cancel(at_ms=now_ms, vehicle=name, sequence=self._sequence))
        if not known:
            self._asked.pop(name, None)

    def _recover(self, now_ms: int) -> None:
        halted = self._api.lane.getLastStepHaltingNumber
        for at, guide in self._guides.items():
            if guide.begun:
                guide.begun = False
                self._before.setdefault(at, sum(map(halted, self._lanes[at])))
                self._ended_ms.pop(at, None)
            if guide.over:
                guide.over = False
                self._ended_ms[at] = now_ms
        for at, ended_ms in tuple(self._ended_ms.items()):
            if at in self._before and sum(map(halted, self._lanes[at])) <= self._before[at]:
                self.recovered_s.append((now_ms - ended_ms) / 1000)
                del self._ended_ms[at], self._before[at]


class Sent:
    """Emergency vehicles put into a scenario of somebody else's: each takes the way of a vehicle that was loaded."""

    def __init__(self, api: Any, *, seed: int, per_hour: float, begin_ms: int, end_ms: int) -> None:
        self._api = api
        self._random = np.random.default_rng((seed, 0xE5))
        count = self._random.poisson(per_hour * (end_ms - begin_ms) / 3_600_000) if per_hour else 0
        self._due_ms = sorted(float(one) for one in self._random.uniform(begin_ms, end_ms, int(count)))
        self._ways: list[tuple[str, str]] = []
        self._number = 0
        if self._due_ms:
            kind = PREFIX.rstrip("-")
            if kind not in api.vehicletype.getIDList():
                api.vehicletype.copy("DEFAULT_VEHTYPE", kind)
            api.vehicletype.setVehicleClass(kind, "emergency")
            api.vehicletype.setSpeedFactor(kind, 1.2)

    def step(self, now_ms: int) -> None:
        if not self._due_ms:
            return
        for one in self._api.simulation.getLoadedIDList():
            edges = self._api.vehicle.getRoute(one)
            if len(edges) > 1:
                self._ways.append((edges[0], edges[-1]))
        # Drawn from the last few hundred: the ways of now.
        del self._ways[:-300]
        while self._due_ms and self._due_ms[0] <= now_ms:
            self._due_ms.pop(0)
            self._send()

    def _send(self) -> None:
        api, kind = self._api, PREFIX.rstrip("-")
        for _ in range(10 if self._ways else 0):
            begin, end = self._ways[int(self._random.integers(len(self._ways)))]
            edges = api.simulation.findRoute(begin, end, kind).edges
            if edges:
                name = f"{PREFIX}{self._number}"
                self._number += 1
                api.route.add(name, edges)
                api.vehicle.add(name, name, typeID=kind, departLane="best", departSpeed="max")
                return
