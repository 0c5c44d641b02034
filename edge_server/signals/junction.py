"""One intersection under the edge's eyes: heartbeats, decisions, safety check, lease and watch, put together.

No clock and no socket in here: each method is told the time and returns what has to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge_server.errors import AdviceGone
from edge_server.signals import advice as advices
from edge_server.signals import lease as leases
from edge_server.signals import safety, watch
from edge_server.signals.advice import Advice, AdviceState, Wish
from edge_server.signals.calling import wanted_phases
from edge_server.signals.controller import Decide
from edge_server.signals.fault import SignalFault
from edge_server.signals.guide import Guidance, Guide, NoGuide
from edge_server.signals.layout import Layout, StageLayout
from edge_server.signals.modes.mode import Mode
from edge_server.signals.safety import Memory, Proposal, Verdict, judge
from edge_server.signals.shadow.beside import Beside
from edge_server.signals.shadow.tally import Tally
from edge_server.signals.sight import Sights
from edge_server.signals.view import View
from edge_server.signals.watch import Watch
from protocol.ids import DeviceId, IntersectionId, MessageId, PhaseId
from protocol.messages import Heartbeat

# What would be commanded is written down no more often than this: nothing follows it, so it may change its mind.
SHADOW_EVERY_MS = 2_000

Kind = Literal["commanded", "overruled", "refused", "shadow", "advice"]


@dataclass(frozen=True)
class Record:
    """One line of the decision log. commanded: other phases than before. overruled: the safety check put something else
    in place of the controller's proposal. refused: the signal controller did not take a command. shadow: what would
    have been commanded. advice: what became of a proposal to an operator."""

    intersection: IntersectionId
    kind: Kind
    controller: str
    phases: tuple[PhaseId, ...]
    reason: str


@dataclass(frozen=True)
class Would:
    """What would be commanded while nothing is. agrees: the signals show or head for it by themselves."""

    intersection: IntersectionId
    controller: str
    phases: tuple[PhaseId, ...]
    reason: str
    overruled: bool
    agrees: bool


@dataclass(frozen=True)
class Advised:
    """What is proposed to operators now, None for nothing."""

    intersection: IntersectionId
    advice: Advice | None


Effect = leases.Order | SignalFault | Record | Would | Advised


class Junction:
    """decide: the controller of this intersection. since_ms: the edge's monotonic clock when it began. peer: the other
    edge server of a pair, which may steer without a word. guide: what may propose in the controller's place. mode: what
    may come of a decision."""

    def __init__(  # noqa: PLR0917 (what one intersection is made of)
        self,
        layout: Layout,
        decide: Decide,
        edge: DeviceId,
        since_ms: int,
        peer: DeviceId | None = None,
        guide: Guide | None = None,
        mode: Mode = "act",
    ) -> None:
        self.layout = layout
        self._mode: Mode = mode
        self._advice = AdviceState()
        self._decide = decide
        self._guide = guide or NoGuide()
        self._lease = leases.LeaseState(edge)
        self._peer = peer
        self._watch = Watch(since_ms)
        self._memory = Memory()
        self._view: View | None = None
        self._faults: Mapping[str, SignalFault] = {}
        self._said: tuple[str, bool, tuple[PhaseId, ...]] | None = None
        self._shadowed_ms = 0
        self._would: Would | None = None
        self._beside: Beside | None = None

    @property
    def advice(self) -> Advice | None:
        """What is proposed to operators now, or what one has confirmed."""
        return self._advice.standing

    @property
    def tally(self) -> Tally | None:
        """What shadowing has counted since it was taken last."""
        return self._beside.tally if self._beside is not None else None

    @property
    def mode(self) -> Mode:
        return self._mode

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
            return effects + self._stop_advising("withdrawn")
        if self._mode == "off":
            # Claims go on being counted; that nobody steers here, those who ask are told.
            self._guide.look(self.layout, None, frozenset(), now_ms)
            return effects
        wanted = wanted_phases(self.layout, sights, now_ms)
        guidance = self._guide.look(self.layout, view, wanted, now_ms)
        if guidance.stands_back:
            return effects + self._stop_advising("withdrawn")
        confirmed = self._advice.confirmed
        proposal = guidance.proposal or self._propose(sights, view, now_ms)
        wanted |= guidance.calls
        if self._mode != "act":
            effects += self._look_on(guidance, proposal, view, sights, wanted, now_ms)
            confirmed = self._advice.confirmed
            if confirmed is None:
                return effects
            proposal = Proposal(confirmed.wish.controller, confirmed.wish.stage, f"confirmed: {confirmed.wish.reason}")
        self._memory, verdict = judge(self.layout, self._memory, view, proposal, wanted=wanted, now_ms=now_ms)
        if verdict.command is None:
            return effects
        order = leases.order(self._lease, verdict.command, now_ms, urgent=urgent)
        if order is not None:
            effects += [*self._records(verdict), order]
        return effects

    def set_mode(self, mode: Mode) -> list[Effect]:
        """What may come of decisions from now on. What is held is let go by not renewing it, as ever."""
        if mode == self._mode:
            return []
        effects = self._stop_advising("withdrawn")
        if self._mode == "act":
            self._lease = leases.let_go(self._lease)
        self._mode, self._said, self._would = mode, None, None
        return effects

    def confirm(self, advice: str, now_ms: int) -> list[Effect]:
        """An operator wants what is proposed. Raises AdviceGone (KF306)."""
        found = advices.confirmed(self._advice, advice, now_ms)
        if found is None or found.standing is None:
            raise AdviceGone(intersection=self.layout.intersection)
        self._advice = found
        return self._tell_advice("confirmed", found.standing)

    def decline(self, advice: str, now_ms: int) -> list[Effect]:
        """An operator does not want it, or no more. Raises AdviceGone (KF306)."""
        standing, found = self._advice.standing, advices.declined(self._advice, advice, now_ms)
        if found is None or standing is None:
            raise AdviceGone(intersection=self.layout.intersection)
        self._advice = found
        if standing.confirmed_ms is not None:
            self._lease = leases.let_go(self._lease)
        return self._tell_advice("declined", standing)

    def sent(self, order: leases.Order, message: MessageId, now_ms: int) -> None:
        """An order was handed to the link as this message."""
        self._lease = leases.sent(self._lease, order, message, now_ms)
        self._watch = watch.sent(self._watch, now_ms)
        self._memory = safety.sent(self._memory, order.command, now_ms)

    def take_over(self) -> None:
        """Steer even though another edge does; in mode act alone."""
        if self._mode != "act":
            return
        self._lease = leases.take_over(self._lease)

    def _look_on(  # noqa: PLR0917 (all that a decision is made from)
        self,
        guidance: Guidance,
        proposal: Proposal,
        view: View,
        sights: Sights,
        wanted: frozenset[PhaseId],
        now_ms: int,
    ) -> list[Effect]:
        """Judge what is wanted as if it were commanded; in advise, bring it before an operator."""
        memory, verdict = judge(self.layout, self._memory, view, proposal, wanted=wanted, now_ms=now_ms)
        if self._advice.confirmed is None:
            self._memory = memory  # else the judgement of what is commanded goes on from it
        if verdict.command is None:
            return self._stop_advising("withdrawn")
        place, phases = self.layout.intersection, verdict.command.phases
        walking = self.layout.pedestrians
        agrees = frozenset(phases) - walking == (view.target or view.serving) - walking
        name, reason = verdict.command.controller, verdict.reason
        self._compare(view, sights, verdict, now_ms, agrees=agrees)
        would = Would(place, name, phases, reason, verdict.overruled, agrees)
        effects: list[Effect] = [would] if would != self._would else []
        self._would = would
        said = (name, verdict.overruled, phases)
        if said != self._said and now_ms - self._shadowed_ms >= SHADOW_EVERY_MS and self._advice.confirmed is None:
            self._said, self._shadowed_ms = said, now_ms
            effects.append(Record(place, "shadow", name, phases, reason))
        if self._mode == "advise":
            # Our own lease of before may still be lapsing: that hinders nobody.
            held = self._lease.holder is not None and (self._lease.holder != self._lease.edge or self._lease.twin)
            idle = agrees or held or self._lease.standing == "barred"
            stage = None if idle else self._stage_of(proposal, verdict)
            urgent = guidance.proposal is not None
            wish = Wish(stage.id, phases, name, reason, urgent) if stage is not None else None
            effects += self._advise(wish, view, now_ms)
        return effects

    def _compare(self, view: View, sights: Sights, verdict: Verdict, now_ms: int, *, agrees: bool) -> None:
        """Only with a controller that follows its own plan."""
        if self._beside is None:
            self._beside = Beside(self.layout, self._decide)
        if view.heartbeat.control == "local" and self._advice.confirmed is None:
            self._beside.look(view, sights, verdict, now_ms, agrees=agrees)
        else:
            self._beside.pause()

    def would_grant(self) -> None:
        """Pre-emption or priority would have been granted, in act."""
        if self._beside is None:
            self._beside = Beside(self.layout, self._decide)
        self._beside.tally.would_grant += 1

    def take_tally(self) -> Tally | None:
        return self._beside.take() if self._beside is not None else None

    def _stage_of(self, proposal: Proposal, verdict: Verdict) -> StageLayout | None:
        """The stage that a command leads to; None while it only holds what is green, or ends a change."""
        assert verdict.command is not None
        if not verdict.overruled:
            return self.layout.stages.get(proposal.stage) if isinstance(proposal.stage, str) else None
        phases = frozenset(verdict.command.phases)
        return next((one for one in self.layout.stages.values() if one.phases == phases), None)

    def _advise(self, wish: Wish | None, view: View, now_ms: int) -> list[Effect]:
        held = self._advice.confirmed
        served = held is not None and frozenset(held.wish.phases) - self.layout.pedestrians <= view.serving
        self._advice, told = advices.advised(self._advice, wish, now_ms, served=served)
        if held is not None and self._advice.confirmed is None:
            self._lease = leases.let_go(self._lease)
        return [effect for what, one in told for effect in self._tell_advice(what, one)]

    def _stop_advising(self, what: advices.What) -> list[Effect]:
        standing = self._advice.standing
        if standing is None:
            return []
        if standing.confirmed_ms is not None:
            self._lease = leases.let_go(self._lease)
        self._advice = AdviceState(quiet=self._advice.quiet)
        return self._tell_advice(what, standing)

    def _tell_advice(self, what: advices.What, one: Advice) -> list[Effect]:
        wish = one.wish
        line = Record(self.layout.intersection, "advice", wish.controller, wish.phases, f"{what}: {wish.reason}"[:500])
        return [line, Advised(self.layout.intersection, self._advice.standing)]

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
