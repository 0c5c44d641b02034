"""What the claims want of the signals now: a stage to propose, and phases to call.

A proposal, no more: like a controller's it passes the safety check, which keeps minimum green, walk and pedestrian
clearance, maximum green and the service bound of everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edge_server.signals.layout import Layout, StageLayout
from edge_server.signals.preemption.beforehand import turn
from edge_server.signals.preemption.machine import holds
from edge_server.signals.preemption.state import Claim, State
from edge_server.signals.view import View
from protocol.ids import PhaseId, StageId

For = Literal["preempt", "priority", "recovery", "beforehand", "extension"]


@dataclass(frozen=True)
class Wanted:
    """calls: to be taken as called: nobody begins to walk beside a green otherwise."""

    stage: StageId
    reason: str
    why: For
    calls: frozenset[PhaseId] = frozenset()

    @property
    def cuts_walk(self) -> bool:
        """Only a pre-emption ends a walk early."""
        return self.why == "preempt"


def wanted(state: State, layout: Layout, view: View, now_ms: int) -> Wanted | None:
    """The stage that is wanted now; None leaves the choice to the intersection's controller. now_ms: the log's clock,
    as in the events, while the view's own times are on the edge's monotonic clock."""
    if state.outranked:
        return None
    claim = state.holder
    first = _beforehand(state, layout, view, now_ms)
    if first is not None:
        why = "its turn, before a vehicle comes for which it would have to wait"
        return Wanted(first.id, why, "beforehand", first.pedestrians)
    if claim is not None and holds(state, now_ms):
        stage = _taken(claim, layout, view) if claim.level == "preempt" else _granted(state, claim, layout, view)
        if stage is not None:
            # No vehicle's name: reasons are kept for a year.
            return Wanted(stage.id, f"a lease for {claim.role or 'a camera'} from {claim.approach}", claim.level)
    if state.recovery is not None and state.recovery.owed is not None and now_ms < state.recovery.until_ms:
        owed = state.recovery.owed
        return Wanted(layout.home[owed].id, f"phase {owed} has waited longest: its turn after a lease", "recovery")
    return _extension(state, layout, view, now_ms)


def calls(state: State) -> frozenset[PhaseId]:
    """Phases that a claim or a camera calls, as a detector would."""
    claims = state.queue if state.holder is None else (state.holder, *state.queue)
    seen = (phase for one in state.sightings.values() for phase in one.phases)
    return frozenset(seen) | {phase for one in claims for phase in one.phases}


def waiting_ms(layout: Layout, view: View, called: Iterable[PhaseId], now_ms: int) -> dict[PhaseId, int]:
    """For how long each called phase has been without green (Tick.red_ms). now_ms: the edge's monotonic clock."""
    called = frozenset(called) | view.called_ms.keys()
    return {
        phase: view.shown_ms(phase, now_ms)
        for phase in called & layout.phases.keys() & view.shown.keys()
        if phase not in view.serving
    }


def _taken(claim: Claim, layout: Layout, view: View) -> StageLayout | None:
    """The stage that gives the vehicle most of its lanes: then one in which it gives way to nobody, then what is green
    already, then what lets fewest walk."""
    phases = frozenset(claim.phases)
    heading = view.target or view.serving
    fitting = [stage for stage in layout.stages.values() if stage.phases & phases]
    return max(
        fitting,
        key=lambda stage: (
            len(stage.phases & phases),
            -len(stage.yields & phases),
            len(stage.phases & heading - layout.pedestrians),
            -len(stage.pedestrians),
        ),
        default=None,
    )


def _beforehand(state: State, layout: Layout, view: View, now_ms: int) -> StageLayout | None:
    """What has to be served before the next vehicle that pre-empts is there."""
    if state.recovery is not None:
        return None
    holding = state.holder if holds(state, now_ms) else None
    claims = (holding,) if holding is not None else state.queue
    claim = next((one for one in claims if one.level == "preempt"), None)
    stage = _taken(claim, layout, view) if claim is not None else None
    return turn(layout, view, claim, stage, now_ms) if claim is not None and stage is not None else None


def _granted(state: State, claim: Claim, layout: Layout, view: View) -> StageLayout | None:
    """NTCIP 1211's two strategies. Extended green: while a phase of the vehicle is green, what is green stays. Early
    green: once the stage that the plan has before the vehicle's has had its planned green less a share, it ends."""
    current = _current(layout, view)
    if current is None or not view.target <= view.serving:
        return None
    if view.serving & frozenset(claim.phases):
        return current
    slots = layout.plan.slots
    for slot, following in zip(slots, (*slots[1:], *slots[:1]), strict=True):
        early = layout.stages[following.stage]
        if slot.stage != current.id or not early.phases & frozenset(claim.phases):
            continue
        planned_ms = slot.green_end_ms - slot.start_ms
        vehicles = current.phases - current.pedestrians or current.phases
        green_ms = min((view.shown[one].elapsed_ms for one in vehicles & view.serving), default=0)
        if green_ms >= planned_ms * (1 - state.terms.early_share):
            return early
    return None


def _extension(state: State, layout: Layout, view: View, now_ms: int) -> Wanted | None:
    """A sighting extends what is green for it, no longer than a priority lease may."""
    current = _current(layout, view)
    for approach, seen in state.sightings.items():
        fresh = now_ms - seen.seen_ms < state.terms.renew_ms
        within = now_ms - seen.since_ms < state.terms.cap_ms["priority"]
        if current is not None and fresh and within and view.serving & frozenset(seen.phases):
            return Wanted(current.id, f"a camera sees an emergency vehicle on {approach}", "extension")
    return None


def _current(layout: Layout, view: View) -> StageLayout | None:
    """The stage that is green: in the plan, where several would fit."""
    planned = {slot.stage for slot in layout.plan.slots}
    green = view.serving - layout.pedestrians or view.serving
    fitting = [stage for stage in layout.stages.values() if green and green <= stage.phases]
    return max(fitting, key=lambda stage: (stage.id in planned, -len(stage.phases)), default=None)
