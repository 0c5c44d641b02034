"""A real controller, and ours beside it: in thought, on the same arrivals, with lamps and queues of its own.

The real side's queues and ours are computed by one model from the same arrivals, so that what the model gets wrong it
gets wrong for both. Ours sees its own modelled queues, passes the safety check, and is obeyed by lamps in thought.
"""

from __future__ import annotations

from edge_server.signals.calling import wanted_phases
from edge_server.signals.controller import Decide
from edge_server.signals.layout import Layout
from edge_server.signals.safety import Memory, Proposal, Verdict, judge, sent
from edge_server.signals.shadow.lamps import Lamps
from edge_server.signals.shadow.queues import Arrivals, GreenFor, LaneQueue
from edge_server.signals.shadow.tally import Side, Tally
from edge_server.signals.sight import Sight, Sights, Vehicles
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId

STEP_MS = 500
# After a longer silence both begin anew from what the real controller shows.
GAP_MS = 3_000

_NEVER = Sight(seen_ms=0)


class Beside:
    """tally: what has been counted since it was taken last. No clock: look() is told the time."""

    def __init__(self, layout: Layout, decide: Decide) -> None:
        self._layout, self._decide = layout, decide
        self.tally = Tally()
        self._at_ms: int | None = None
        self._overruled = ""
        self._reset()

    def _reset(self) -> None:
        lanes = self._layout.flat
        self._lamps: Lamps | None = None
        self._memory = Memory()
        self._real = [LaneQueue(lane) for lane in lanes]
        self._ours = [LaneQueue(lane) for lane in lanes]
        self._arrivals = {one.id: Arrivals(one) for one in self._layout.approaches}
        self._lost = dict.fromkeys(self._arrivals, True)
        self._began: tuple[dict[PhaseId, int], dict[PhaseId, int]] = ({}, {})
        self._serving: tuple[frozenset[PhaseId], frozenset[PhaseId]] = (frozenset(), frozenset())

    def take(self) -> Tally:
        """What was counted, and count anew."""
        found, self.tally = self.tally, Tally()
        return found

    def pause(self) -> None:
        """The real controller is not left to itself, or not heard: nothing is compared."""
        self._at_ms = None

    def look(self, view: View, sights: Sights, verdict: Verdict, now_ms: int, *, agrees: bool) -> None:
        """verdict: what ours would command now, seeing what the real controller shows."""
        if self._at_ms is None or now_ms - self._at_ms > GAP_MS:
            self._reset()
            self._at_ms, self._lamps = now_ms, Lamps(self._layout, view, now_ms)
            self._serving = (view.serving, view.serving)
            return
        dt_ms = now_ms - self._at_ms
        if dt_ms < STEP_MS or self._lamps is None:
            return
        self._at_ms = now_ms
        tally = self.tally
        tally.compared_ms += dt_ms
        tally.agreed_ms += dt_ms if agrees else 0
        tally.overruled_ms += dt_ms if verdict.overruled else 0
        reason = verdict.reason if verdict.overruled else ""
        if reason != self._overruled and reason:
            tally.overrule(reason)
        self._overruled = reason
        self._lamps.call(view.called_ms)
        self._lamps.advance(now_ms)
        self._queues(self._lamps, view, sights, dt_ms, now_ms)
        self._steer(self._lamps, sights, now_ms)
        self._count(0, tally.real, view.serving, dt_ms, now_ms)
        self._count(1, tally.ours, self._lamps.serving, dt_ms, now_ms)

    def _queues(self, lamps: Lamps, view: View, sights: Sights, dt_ms: int, now_ms: int) -> None:
        def really(phase: PhaseId) -> float | None:
            return view.shown_ms(phase, now_ms) / 1000 if phase in view.serving else None

        serving = lamps.serving

        def thought(phase: PhaseId) -> float | None:
            return lamps.green_ms(phase, now_ms) / 1000 if phase in serving else None

        first = 0
        for approach in self._layout.approaches:
            count = len(approach.lanes)
            lanes = range(first, first + count)
            first += count
            sight = sights.get(approach.id, _NEVER)
            self.tally.lane_ms += dt_ms * count
            if self._arrivals[approach.id].is_lost(sight, now_ms):
                self._lost[approach.id] = True
                continue
            self.tally.seen_lane_ms += dt_ms * count
            if self._lost[approach.id]:
                self._begin(approach.id, sight, lanes)
            self._move(approach.id, sight, lanes, really, thought, dt_ms, now_ms)

    def _begin(self, approach: ApproachId, sight: Sight, lanes: range) -> None:
        self._lost[approach] = False
        self._arrivals[approach].begin(sight)
        for at, seen in zip(lanes, sight.lanes, strict=True):
            waiting = seen.mean if seen.standing is None else seen.standing
            self._real[at] = LaneQueue(self._layout.flat[at], waiting)
            self._ours[at] = LaneQueue(self._layout.flat[at], waiting)

    def _move(  # noqa: PLR0917 (one step of both sides)
        self,
        approach: ApproachId,
        sight: Sight,
        lanes: range,
        really: GreenFor,
        thought: GreenFor,
        dt_ms: int,
        now_ms: int,
    ) -> None:
        tally, dt_s = self.tally, dt_ms / 1000
        passed, free = [], []
        for at, seen in zip(lanes, sight.lanes, strict=True):
            for side, queue, green in ((tally.real, self._real[at], really), (tally.ours, self._ours[at], thought)):
                flow = queue.flow(green)
                gone = queue.advance(dt_s, flow, now_ms)
                side.passed += gone
                side.queue_vehicle_ms += queue.waiting * dt_ms
                if side is tally.real:
                    passed.append(gone)
                    free.append(flow > 0.0 and queue.waiting < 0.5)
            if seen.standing is not None:
                tally.standing_vehicle_ms += seen.standing * dt_ms
                tally.standing_model_ms += self._real[at].waiting * dt_ms
        for at, coming in zip(lanes, self._arrivals[approach].take(sight, passed, free, dt_s), strict=True):
            tally.arrived += coming
            self._real[at].arrive(coming, now_ms)
            self._ours[at].arrive(coming, now_ms)

    def _steer(self, lamps: Lamps, sights: Sights, now_ms: int) -> None:
        view, seen = lamps.view(now_ms), self._in_thought(sights, now_ms)
        try:
            decision = self._decide(self._layout, seen, view, now_ms)
            proposal = Proposal(self._layout.control, decision.stage, decision.reason)
        except Exception as error:  # a controller is a plug-in
            proposal = Proposal(self._layout.control, None, type(error).__name__)
        wanted = wanted_phases(self._layout, seen, now_ms)
        self._memory, verdict = judge(self._layout, self._memory, view, proposal, wanted=wanted, now_ms=now_ms)
        if verdict.command is not None:
            lamps.obey(frozenset(verdict.command.phases))
            self._memory = sent(self._memory, verdict.command, now_ms)

    def _in_thought(self, sights: Sights, now_ms: int) -> dict[ApproachId, Sight]:
        """Other roads as they are; ours as they would be."""
        found, first = dict(sights), 0
        for approach in self._layout.approaches:
            lanes = self._ours[first : first + len(approach.lanes)]
            first += len(approach.lanes)
            if not self._lost[approach.id]:
                vehicles = tuple(Vehicles(queue.in_sight, 0.0, queue.waiting) for queue in lanes)
                found[approach.id] = Sight(now_ms, vehicles)
        return found

    def _count(self, which: int, side: Side, serving: frozenset[PhaseId], dt_ms: int, now_ms: int) -> None:
        began = self._began[which]
        for phase in serving:
            side.green_ms[phase] = side.green_ms.get(phase, 0) + dt_ms
        for phase in serving - self._serving[which]:
            side.greens[phase] = side.greens.get(phase, 0) + 1
            if phase in began and phase not in self._layout.pedestrians:
                side.cycle_ms += now_ms - began[phase]
                side.cycles += 1
            began[phase] = now_ms
        self._serving = (serving, self._serving[1]) if which == 0 else (self._serving[0], serving)
