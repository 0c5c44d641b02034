"""One intersection under the edge's eyes: heartbeats, decisions, safety check, lease and watch, put together.

No clock and no socket in here: each method is told the time and returns what has to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge_server.signals import lease as leases
from edge_server.signals import safety, watch
from edge_server.signals.controller import Decide
from edge_server.signals.fault import SignalFault
from edge_server.signals.guide import Guide, NoGuide
from edge_server.signals.layout import Layout
from edge_server.signals.safety import Memory, Proposal, Verdict, judge
from edge_server.signals.sight import Sight, Sights
from edge_server.signals.view import View
from edge_server.signals.watch import Watch
from protocol.ids import DeviceId, IntersectionId, MessageId, PhaseId
from protocol.messages import Heartbeat

# From this many vehicles on, a lane calls for the phases that serve it.
CALLING_VEHICLES = 1.0


@dataclass(frozen=True)
class Record:
    """One line of the decision log. commanded: other phases than before. overruled: the safety check put something else
    in place of the controller's proposal. refused: the signal controller did not take a command."""

    intersection: IntersectionId
    kind: Literal["commanded", "overruled", "refused"]
    controller: str
    phases: tuple[PhaseId, ...]
    reason: str


Effect = leases.Order | SignalFault | Record


class Junction:
    """decide: the controller of this intersection. since_ms: the edge's monotonic clock when it began. peer: the other
    edge server of a pair, which may steer without a word. guide: what may propose in the controller's place."""

    def __init__(  # noqa: PLR0917 (what one intersection is made of)
        self,
        layout: Layout,
        decide: Decide,
        edge: DeviceId,
        since_ms: int,
        peer: DeviceId | None = None,
        guide: Guide | None = None,
    ) -> None:
        self.layout = layout
        self._decide = decide
        self._guide = guide or NoGuide()
        self._lease = leases.LeaseState(edge)
        self._peer = peer
        self._watch = Watch(since_ms)
        self._memory = Memory()
        self._view: View | None = None
        self._faults: Mapping[str, SignalFault] = {}
        self._said: tuple[str, bool, tuple[PhaseId, ...]] | None = None

    @property
    def view(self) -> View | None:
        """What the controller showed last, None before it was heard."""
        return self._view

    @property
    def lease(self) -> leases.LeaseState:
        return self._lease

    def hear(self, heartbeat: Heartbeat, sights: Sights, now_ms: int, *, defers: bool = False) -> list[Effect]:
        """A heartbeat of this intersection's controller came in. defers: let the first edge server of our pair go
        first."""
        self._lease = leases.defer(self._lease, defers)
        if not leases.is_news(self._lease, heartbeat):
            return []
        effects: list[Effect] = []
        outcome = leases.answer(self._lease, heartbeat)
        if outcome is not None and outcome.refusal is not None:
            phases = tuple(sorted(self._lease.orders[outcome.command]))
            effects.append(Record(self.layout.intersection, "refused", self.layout.control, phases, outcome.refusal))
        self._view = View.of(heartbeat, now_ms)
        self._watch = watch.heard(self._watch, self.layout, self._lease, self._view)
        self._lease = leases.hear(self._lease, heartbeat, now_ms)
        if self._watch.disobeyed and self._lease.standing in ("asking", "holding"):
            self._lease = leases.bar(self._lease, now_ms)
        return effects + self.decide(sights, now_ms, urgent=False)

    def decide(self, sights: Sights, now_ms: int, *, urgent: bool) -> list[Effect]:
        """Decide now; urgent when something new was seen. Called on each observation, each heartbeat and each tick."""
        effects = self._fault_changes(now_ms)
        view = self._view
        if view is None or now_ms - view.heard_ms > leases.HEARTBEAT_MAX_AGE_MS:
            self._guide.look(self.layout, None, frozenset(), now_ms)
            return effects
        wanted = wanted_phases(self.layout, sights, now_ms)
        guidance = self._guide.look(self.layout, view, wanted, now_ms)
        if guidance.stands_back:
            return effects
        proposal = guidance.proposal or self._propose(sights, view, now_ms)
        wanted |= guidance.calls
        self._memory, verdict = judge(self.layout, self._memory, view, proposal, wanted=wanted, now_ms=now_ms)
        if verdict.command is None:
            return effects
        order = leases.order(self._lease, verdict.command, now_ms, urgent=urgent)
        if order is not None:
            effects += [*self._records(verdict), order]
        return effects

    def sent(self, order: leases.Order, message: MessageId, now_ms: int) -> None:
        """An order was handed to the link as this message."""
        self._lease = leases.sent(self._lease, order, message, now_ms)
        self._watch = watch.sent(self._watch, now_ms)
        self._memory = safety.sent(self._memory, order.command, now_ms)

    def take_over(self) -> None:
        """Steer even though another edge does."""
        self._lease = leases.take_over(self._lease)

    def _propose(self, sights: Sights, view: View, now_ms: int) -> Proposal:
        try:
            decision = self._decide(self.layout, sights, view, now_ms)
            return Proposal(self.layout.control, decision.stage, decision.reason)
        except Exception as error:  # a controller is a plug-in: whatever it does, signals stay safe
            return Proposal(self.layout.control, None, f"failed: {type(error).__name__}: {error}")

    def _fault_changes(self, now_ms: int) -> list[Effect]:
        current = watch.faults(self.layout, self._watch, self._lease, self._view, now_ms, peer=self._peer)
        if current.keys() == self._faults.keys():
            return []
        over = [fault.over() for slug, fault in self._faults.items() if slug not in current]
        new = [fault for slug, fault in current.items() if slug not in self._faults]
        self._faults = current
        return [*over, *new]

    def _records(self, verdict: Verdict) -> list[Effect]:
        assert verdict.command is not None
        phases = verdict.command.phases
        said = (verdict.command.controller, verdict.overruled, phases)
        if said == self._said:
            return []
        self._said = said
        kind: Literal["commanded", "overruled"] = "overruled" if verdict.overruled else "commanded"
        return [Record(self.layout.intersection, kind, verdict.command.controller, phases, verdict.reason)]


def wanted_phases(layout: Layout, sights: Sights, now_ms: int) -> frozenset[PhaseId]:
    """Phases whose lanes hold a vehicle or more, or may: an unseen lane is taken as calling."""
    wanted: set[PhaseId] = set()
    for approach in layout.approaches:
        sight = sights.get(approach.id, NEVER)
        for position, lane in enumerate(approach.lanes):
            if not lane.phases <= wanted and sight.mean(position, lane, now_ms) >= CALLING_VEHICLES:
                wanted |= lane.phases
    return frozenset(wanted)


NEVER = Sight(seen_ms=0)
