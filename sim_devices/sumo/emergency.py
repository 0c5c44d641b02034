"""Emergency vehicles of a simulation that ask for the signals on their way, and the pre-emption that answers.

Each sends its whole route once a second. The green wave and the pre-emption of each intersection are the edge's own
(edge_server.signals.preemption) with the rules' usual terms; only signatures and the network are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_server.signals.guide import NO_GUIDANCE, Guidance
from edge_server.signals.layout import Layout
from edge_server.signals.preemption.events import Ended, Granted, Happening, Tick
from edge_server.signals.preemption.flush import Need, need
from edge_server.signals.preemption.machine import step
from edge_server.signals.preemption.route import OwnLeg
from edge_server.signals.preemption.state import State
from edge_server.signals.preemption.terms import Terms
from edge_server.signals.preemption.wanted import calls, waiting_ms, wanted
from edge_server.signals.preemption.wave import Teller, events, predict
from edge_server.signals.safety import Proposal
from edge_server.signals.sight import Sights
from edge_server.signals.view import View
from protocol.ids import ApproachId, BootId, DeviceId, IntersectionId, MessageId, PhaseId, SiteId
from protocol.messages import Leg, PriorityRoute
from protocol.messages.priority_route import LEGS_MOST
from protocol.preemption import PreemptionRules
from sim_devices.sumo.net import Net
from sim_devices.sumo.signal_loop import SignalLoop

PREFIX = "kinflow-ev-"
SITE = SiteId("sumo-net")


class LeaseGuide:
    """The pre-emption of one intersection, in the controller's place (edge_server.signals.guide.Guide)."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.view: View | None = None
        self.begun = self.over = False

    def tell(self, event: Happening) -> None:
        self.state, effects = step(self.state, event)
        self.begun |= any(isinstance(one, Granted) for one in effects)
        self.over |= any(isinstance(one, Ended) for one in effects)

    def look(self, layout: Layout, view: View | None, called: frozenset[PhaseId], now_ms: int) -> Guidance:
        if view is None:
            return NO_GUIDANCE
        self.view = view
        state = self.state
        if state.normal and not state.queue:
            return NO_GUIDANCE
        red_ms = waiting_ms(layout, view, called | calls(state), now_ms)
        self.tell(Tick(at_ms=now_ms, heard=True, red_ms=red_ms, serving=tuple(sorted(view.serving))))
        asked = wanted(self.state, layout, view, now_ms)
        if asked is None:
            return Guidance(None, calls(self.state))
        proposal = Proposal("pre-emption", asked.stage, asked.reason, asked.cuts_walk)
        return Guidance(proposal, calls(self.state) | asked.calls)


class Emergencies:
    """Asks for every emergency vehicle of a running simulation, and takes the time until queues are as before."""

    def __init__(self, api: Any, loops: Sequence[SignalLoop], net: Net) -> None:
        self._api = api
        self._loops = loops
        self._guides: dict[IntersectionId, LeaseGuide] = {}
        self._links: dict[tuple[str, int], tuple[IntersectionId, ApproachId, str]] = {}
        self._layouts = {loop.layout.intersection: loop.layout for loop in loops}
        self._speeds_mps: dict[str, float] = {}
        self._asking: set[str] = set()
        self._sequence = 0
        self._before: dict[IntersectionId, int] = {}
        self._ended_ms: dict[IntersectionId, int] = {}
        self.recovered_s: list[float] = []
        self._lanes = {
            loop.layout.intersection: tuple(lane for lanes in loop.one.stop_lanes.values() for lane in lanes)
            for loop in loops
        }
        for loop in loops:
            name = loop.layout.intersection
            # Before the net's map is drawn, lanes lead `to` SUMO's own edges.
            terms = Terms.of(loop.one.intersection, PreemptionRules())
            self._guides[name] = loop.guide = LeaseGuide(State(terms))
            approach_of = {lane: road for road, lanes in loop.one.stop_lanes.items() for lane in lanes}
            base = 0
            for light, size in loop.one.lights:
                for index in range(size):
                    for way in loop.one.ways.get(base + index, ()):
                        if way.from_lane in approach_of:
                            egress = net.lanes[way.to_lane].edge
                            self._links[light, index] = (name, approach_of[way.from_lane], egress)
                base += size

    def look(self, sights: Sights, now_ms: int) -> None:
        vehicle = self._api.vehicle
        here = {one for one in vehicle.getIDList() if one.startswith(PREFIX)}
        for name in self._asking - here:
            self._tell(name, (), sights, now_ms)
            self._speeds_mps.pop(name, None)
        for name in here:
            if not vehicle.getLaneID(name).startswith(":"):  # within a junction less is allowed
                self._speeds_mps[name] = vehicle.getAllowedSpeed(name)
            self._tell(name, self._legs(name), sights, now_ms)
        self._asking = here
        self._recover(now_ms)

    def _legs(self, name: str) -> tuple[Leg, ...]:
        """The signals ahead on its route, each with the way from the one before."""
        found: list[Leg] = []
        gone_m = 0
        for light, index, distance_m, _ in self._api.vehicle.getNextTLS(name)[:LEGS_MOST]:
            if (light, index) in self._links:
                intersection, approach, egress = self._links[light, index]
                leg_m = max(0, round(distance_m) - gone_m)
                gone_m += leg_m
                found.append(
                    Leg(
                        site=SITE, intersection=intersection, approach=approach, egress=egress, distance_m=leg_m
                    )
                )  # fmt: skip
        return tuple(found)

    def _tell(self, name: str, legs: tuple[Leg, ...], sights: Sights, now_ms: int) -> None:
        self._sequence += 1
        message = PriorityRoute(
            id=MessageId(""), source=DeviceId(name), boot=BootId("0" * 16), seq=self._sequence, at_ms=now_ms,
            mono_ms=now_ms, action="renew" if legs else "cancel", request=0, sequence=self._sequence,
            role="ambulance", speed_cmps=max(100, round(100 * self._speeds_mps.get(name, 1.0))), legs=legs,
            evidence=("dispatched",),
        )  # fmt: skip
        own: dict[IntersectionId, OwnLeg] = {}
        gone_m = 0
        for leg in legs:
            gone_m += leg.distance_m
            own.setdefault(leg.intersection, OwnLeg(leg, gone_m))
        arrivals = predict(tuple(own.values()), message.speed_cmps, lambda one: self._needs(one, sights))
        states = {intersection: guide.state for intersection, guide in self._guides.items()}
        teller = Teller(at_ms=now_ms, off_ms=0, proof="verified", on_shift=True, own_role=True)
        for intersection, event in events(message, teller, arrivals, states):
            if legs or states[intersection].claim_of(name) is not None:
                self._guides[intersection].tell(event)

    def _needs(self, own: OwnLeg, sights: Sights) -> Need | None:
        leg, guide = own.leg, self._guides[own.leg.intersection]
        if guide.view is None:
            return None
        phases = frozenset(guide.state.terms.phases(leg.approach, leg.egress))
        return need(self._layouts[leg.intersection], guide.view, sights, leg.approach, phases)

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
