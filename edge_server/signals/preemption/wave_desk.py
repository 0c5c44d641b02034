"""The shell around green waves: a vehicle's route comes in, claims are planned here, and the rest is handed on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from edge_server.errors import NeighbourUnknown, PriorityUnbelieved, RouteBroken
from edge_server.events import Event as BusEvent
from edge_server.events import RouteRequested
from edge_server.signals.layout import Layout
from edge_server.signals.preemption.desk import PreemptionDesk
from edge_server.signals.preemption.events import Answer, Refused, Request
from edge_server.signals.preemption.flush import Need, need
from edge_server.signals.preemption.log_lines import Routed
from edge_server.signals.preemption.reading import teller_of
from edge_server.signals.preemption.refusals import error_of
from edge_server.signals.preemption.route import OwnLeg, Route, Ways, read_route
from edge_server.signals.preemption.wave import Teller, events, predict, summary
from edge_server.signals.sight import Sights
from edge_server.signals.timetable import milliseconds
from edge_server.signals.view import View
from protocol.errors import KinflowError
from protocol.ids import IntersectionId, SiteId
from protocol.messages import PriorityRoute, PriorityStatus
from protocol.site import Site

# Of so many vehicles it is remembered what their last route was.
VEHICLES_KEPT = 1_000
_FAULTS = {
    "route-gap": "the leg before does not lead there",
    "unknown-intersection": "there is no such intersection here",
}

log = structlog.get_logger("edge.preemption")


@dataclass(frozen=True)
class Surroundings:
    """shown: what an intersection is and shows; sights: what is seen of the approaches. onward: hand a route to a
    neighbour, now or never. note: a line of the event log (subject, text, code)."""

    shown: Callable[[IntersectionId], tuple[Layout, View | None] | None] = lambda _: None
    sights: Callable[[], Sights] = dict
    onward: Callable[[SiteId, PriorityRoute], None] = lambda *_: None
    note: Callable[[str, str, str], None] = lambda *_: None


@dataclass(frozen=True)
class _Known:
    """Of a vehicle's newest route: its number, and what tells it from another."""

    sequence: int
    plan: tuple[object, ...]


class WaveDesk:
    """Safe from any thread."""

    def __init__(self, site: Site, desk: PreemptionDesk) -> None:
        # A site with a fault grants nothing.
        self._ways = replace(Ways.of(site), intersections=frozenset(desk.terms))
        self._desk = desk
        self._skew_ms = milliseconds(site.preemption.skew_s)
        self._around = Surroundings()
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def attach(self, around: Surroundings) -> None:
        """What it asks and tells; before anything is asked of it."""
        self._around = around

    def handle(self, event: BusEvent) -> None:
        """An event of the edge's bus."""
        if isinstance(event, RouteRequested):
            try:
                self.ask(event.route)
            except KinflowError as error:
                log.info("a route was refused", vehicle=event.route.source, code=error.code)

    def ask(self, message: PriorityRoute, by: str = "") -> tuple[PriorityStatus, ...]:
        """Take a vehicle's route; how it stands at each of our intersections on it. by: the neighbour that handed it
        over.

        Raises what refuses all of it: KF310 to KF319, RouteBroken (KF326), NeighbourUnknown (KF327) or
        PreemptionLogUnwritable (KF322)."""
        desk = self._desk
        route = read_route(self._ways, message.legs)
        teller = teller_of(
            message, desk.keys.of(message.source), at_ms=desk.now_ms(), wall_ms=desk.wall_ms(), zone=desk.zone
        )
        arrivals = predict(route.own, message.speed_cmps, self._needs)
        told = events(message, teller, arrivals, desk.states)
        if teller.proof != "verified":
            told = told[:1]  # one line in the log is enough
        statuses: list[PriorityStatus] = []
        refusals: list[KinflowError] = []
        for intersection, event in told:
            effects = desk.apply(intersection, event)
            refused = [one for one in effects if isinstance(one, Refused) and one.vehicle == event.vehicle]
            answers = [one for one in effects if isinstance(one, Answer) and one.vehicle == event.vehicle]
            if refused:
                refusals.append(error_of(refused[0].refusal, event, desk.terms[intersection]))
            if answers and isinstance(event, Request):
                statuses.append(desk.status(intersection, answers[-1]))
        if teller.proof != "verified" and not refusals:
            refusals.append(PriorityUnbelieved(vehicle=message.source, detail="it is not signed by a key that we know"))
        self._go_on(message, teller, route, by, refusals)
        if refusals and len(refusals) >= len(told):
            raise refusals[0]
        return tuple(statuses)

    def _needs(self, own: OwnLeg) -> Need | None:
        found = self._around.shown(own.leg.intersection)
        terms = self._desk.terms.get(own.leg.intersection)
        if found is None or found[1] is None or terms is None:
            return None
        layout, view = found
        phases = frozenset(terms.phases(own.leg.approach, own.leg.egress))
        if not phases:
            return None
        return need(layout, view, self._around.sights(), own.leg.approach, phases)

    def _go_on(
        self, message: PriorityRoute, teller: Teller, route: Route, by: str, refusals: list[KinflowError]
    ) -> None:
        """Hand it on, once; write down where it leads when that is new; tell where it breaks."""
        if teller.proof != "verified" or abs(teller.off_ms) > self._skew_ms or not teller.own_role:
            return
        with self._lock:
            before = self._known.pop(message.source, None)
            if before is not None and message.sequence <= before.sequence:
                self._known[message.source] = before
                return
            plan = (*summary(route), message.action == "cancel", by)
            self._known[message.source] = _Known(message.sequence, plan)
            while len(self._known) > VEHICLES_KEPT:
                del self._known[next(iter(self._known))]
        for site in route.onward:
            self._around.onward(site, message)
        error = self._fault(message, route)
        if error is not None and not route.own and not route.onward:
            refusals.append(error)
        if before is not None and before.plan == plan:
            return
        self._desk.write_route(
            Routed(
                at_ms=teller.at_ms,
                vehicle=message.source,
                legs=tuple(one.leg.intersection for one in route.own) if message.action != "cancel" else (),
                onward=route.onward,
                fault=route.fault,
                by=by,
            )
        )
        if error is not None:
            self._around.note(message.source, error.cause_text, error.code)

    def _fault(self, message: PriorityRoute, route: Route) -> KinflowError | None:
        if route.fault is None:
            return None
        number, fault = route.fault
        leg = message.legs[number]
        if fault == "unknown-neighbour":
            return NeighbourUnknown(vehicle=message.source, site=leg.site)
        return RouteBroken(vehicle=message.source, where=f"{leg.site}/{leg.intersection}", detail=_FAULTS[fault])
