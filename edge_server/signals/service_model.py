"""How many vehicles each stage would bring over the stop lines, in how much time: what Kinflow's controllers choose by.

Many decisions a second are made from this, so it keeps to plain numbers: a lane becomes a short table of how many
vehicles pass in each of a few greens, and a stage adds up the tables of its lanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge_server.signals.layout import ApproachLayout, LaneLayout, Layout, StageLayout
from edge_server.signals.sight import Sight, Sights
from edge_server.signals.view import View
from protocol.ids import ApproachId, PhaseId

SATURATION_PER_S = 0.5
# Of each green that begins, its first two seconds carry nobody (start-up lost time, HCM).
STARTUP_LOST_S = 2.0
# A change takes about so long: for who arrives meanwhile.
CHANGE_S = 4.0
# Greens of another stage, and for how much longer the one that is green may go on.
GREENS_S = (6.0, 12.0, 24.0, 45.0)
EXTENSIONS_S = (3.0, 6.0, 12.0, 24.0)
# What stays green passes during the change as well.
THROUGH_S = tuple(green_s + CHANGE_S for green_s in GREENS_S)
# How much of the change back counts while somebody is left behind.
RETURN_SHARE = 1.0
# Whoever has waited this long weighs twice as much as who has just come.
WAITING_S = 300.0
# On a lane that nobody sees, while it is red (about 300 vehicles an hour).
UNSEEN_PER_S = 0.08
UNSEEN_MS = 10_000
# Once green has lasted so long, about so many vehicles a second have been set in motion; where fewer are, somebody is
# in the way: one who gives way on a shared lane, or a queue beyond the junction.
STARTING_S = 4.0
STARTS_PER_S = 0.5
FLOW_LEAST = 0.15
# A turn that gives way passes less the more oncoming vehicles there are.
PERMISSIVE_LEAST = 0.15
OPPOSING_MOST = 6.0
# Somebody who waits to walk weighs as a vehicle, and twice as much after this long.
WALKER_VEHICLES = 1.0
WALKER_WAITING_S = 12.0
# An exit that nobody watches takes as many as come.
OPEN_ROOM = 30.0

Table = tuple[float, float, float, float]
_NOBODY: Table = (0.0, 0.0, 0.0, 0.0)
_NEVER = Sight(seen_ms=0)


@dataclass(frozen=True, slots=True)
class Lane:
    """standing and moving vehicles, each of this weight. room: how many fit behind the exits' queues. flow: which share
    of saturation flow it is seen to pass while it is green."""

    weight: float
    standing: float
    moving: float
    travel_s: float
    room: float
    green: bool
    flow: float

    @property
    def vehicles(self) -> float:
        return self.standing + self.moving

    def passing(self, lengths_s: tuple[float, ...], before_s: float, lost_s: float, flow: float) -> Table:
        """Weighted vehicles that pass in greens of these lengths, which begin in before_s and lose lost_s."""
        found = []
        per_s = SATURATION_PER_S * flow
        standing, moving, room, travel_s = self.standing, self.moving, self.room, self.travel_s
        for length_s in lengths_s:
            reached = (before_s + length_s) / travel_s
            there = standing + (moving * reached if reached < 1.0 else moving)
            most = per_s * (length_s - lost_s)
            there = min(there, most)
            there = min(there, room)
            found.append(there * self.weight)
        return tuple(found)  # type: ignore[return-value]


@dataclass(frozen=True)
class Change:
    """From what is green to a stage. ending: lanes whose green it ends, by position."""

    seconds: float
    ending: tuple[int, ...]

    @classmethod
    def between(cls, layout: Layout, phases: frozenset[PhaseId], stage: StageLayout) -> Change:
        added, ending = stage.phases - phases, phases - stage.phases
        if not added or not phases:
            return cls(0.0, ())
        waited_for = [one for one in ending if not layout.conflicts[one].isdisjoint(added)]
        change_ms = max((layout.phases[one].change_ms for one in waited_for), default=0)
        lanes = tuple(at for at, lane in enumerate(layout.flat) if not lane.phases.isdisjoint(ending))
        return cls(change_ms / 1000, lanes)


class ServiceModel:
    """What one decision at one intersection is made from."""

    def __init__(self, layout: Layout, sights: Sights, view: View, now_ms: int, current: StageLayout | None) -> None:
        """current: what is green, or becoming green (current_stage)."""
        self._layout = layout
        self.heading = view.target or view.serving
        self.current = current
        self.lanes = tuple(_lanes(layout, sights, view, now_ms))
        self._starting = [self._table(lane, GREENS_S, lane.flow, lost_s=STARTUP_LOST_S) for lane in self.lanes]
        self._lasting = [self._table(lane, EXTENSIONS_S, lane.flow) if lane.green else _NOBODY for lane in self.lanes]
        self._walkers = {
            phase: WALKER_VEHICLES * (1.0 + max(0.0, (now_ms - since_ms) / 1000) / WALKER_WAITING_S)
            for phase, since_ms in view.called_ms.items()
            if phase in layout.pedestrians
        }
        self._serving = view.serving
        self._yielding = {at for at, _, yields in layout.served[current.id] if yields} if current else set()

    @staticmethod
    def _table(lane: Lane, lengths_s: tuple[float, ...], flow: float, lost_s: float = 0.0) -> Table:
        if lane.standing + lane.moving <= 0.0:
            return _NOBODY
        return lane.passing(lengths_s, CHANGE_S if lost_s else 0.0, lost_s, flow)

    def rate(self, stage: StageLayout) -> tuple[float, float]:
        """The greatest rate of weighted vehicles a second, change included, and the green that it is reached in."""
        layout = self._layout
        change = layout.changes.get((self.heading, stage.id))
        if change is None:
            change = layout.changes[self.heading, stage.id] = Change.between(layout, self.heading, stage)
        lasting = change.seconds == 0.0
        lengths_s = EXTENSIONS_S if lasting else GREENS_S
        t0 = t1 = t2 = t3 = 0.0
        served = layout.served[stage.id]
        opposing = 0.0
        if stage.yields:
            opposing = sum(self.lanes[at].vehicles for at, _, yields in served if not yields)
        for at, share, yields in served:
            table = self._passing(at, lengths_s, lasting=lasting, yields=yields)
            if table is _NOBODY:
                continue
            part = share * max(PERMISSIVE_LEAST, 1.0 - opposing / OPPOSING_MOST) if yields and opposing else share
            t0 += part * table[0]
            t1 += part * table[1]
            t2 += part * table[2]
            t3 += part * table[3]
        over_s = change.seconds
        if over_s and any(self.lanes[at].green and self.lanes[at].vehicles >= 1.0 for at in change.ending):
            over_s += RETURN_SHARE * change.seconds
        least_s, walking = self._walk(stage) if layout.pedestrians else (0.0, 0.0)
        return max(
            ((total + walking) / (over_s + max(length_s, least_s)), length_s)
            for total, length_s in zip((t0, t1, t2, t3), lengths_s, strict=True)
        )

    def _walk(self, stage: StageLayout) -> tuple[float, float]:
        """How long a stage lasts at least because of who begins to walk in it, and how much their waiting weighs."""
        least_ms, weight = 0, 0.0
        for phase in stage.pedestrians - self._serving:
            times = self._layout.phases[phase]
            least_ms = max(least_ms, times.least_ms + times.clearance_ms)
            weight += self._walkers.get(phase, 0.0)
        return least_ms / 1000, weight

    def _passing(self, at: int, lengths_s: tuple[float, ...], *, lasting: bool, yields: bool) -> Table:
        lane = self.lanes[at]
        # Who stands because of those he gives way to would go without them.
        if lane.flow < 1.0 and at in self._yielding and not yields:
            return self._table(lane, lengths_s, 1.0)
        if lane.green:
            return self._lasting[at] if lasting else self._table(lane, THROUGH_S, lane.flow)
        return self._starting[at] if not lasting else self._table(lane, lengths_s, lane.flow, STARTUP_LOST_S)


def current_stage(layout: Layout, view: View) -> StageLayout | None:
    """The stage that holds most of what the controller shows or heads for."""
    heading = view.target or view.serving
    stages = [stage for stage in layout.stages.values() if stage.phases & heading]
    return max(stages, key=lambda stage: (len(stage.phases & heading), -len(stage.phases)), default=None)


def _lanes(layout: Layout, sights: Sights, view: View, now_ms: int) -> Iterator[Lane]:
    """What is on each lane now, as far as it is known."""
    shown_s = {phase: view.shown_ms(phase, now_ms) / 1000 for phase in view.shown}
    rooms: dict[ApproachId, tuple[float, float]] = {}
    for approach in layout.approaches:
        sight = sights.get(approach.id, _NEVER)
        seen = bool(sight.lanes) and now_ms - sight.seen_ms <= UNSEEN_MS
        for at, lane in enumerate(approach.lanes):
            green_s = waited_s = 0.0
            green = False
            for phase in lane.phases:
                if phase in view.serving:
                    green, green_s = True, max(green_s, shown_s[phase])
                else:
                    waited_s = max(waited_s, shown_s[phase])
            if seen:
                standing, moving = _told(sight, at, lane, now_ms)
            else:
                standing, moving = min(lane.capacity, UNSEEN_PER_S * waited_s), UNSEEN_PER_S * lane.travel_s
            flow = 1.0
            if green_s > STARTING_S and seen and sight.lanes[at].standing is not None:
                due = min(standing + moving, 1.0 + STARTS_PER_S * (green_s - STARTING_S))
                if moving < due:
                    flow = max(FLOW_LEAST, moving / due)
            room, filled = _beyond(layout, lane, sights, rooms) if lane.to else (OPEN_ROOM, 0.0)
            # Who only joins the next queue has gained little.
            weight = (1.0 + waited_s / WAITING_S) * (1.0 - filled)
            yield Lane(weight, standing, moving, lane.travel_s, room, green, flow)


def _told(sight: Sight, at: int, lane: LaneLayout, now_ms: int) -> tuple[float, float]:
    total = sight.mean(at, lane, now_ms)
    told = sight.lanes[at]
    if told.standing is None:
        return total, 0.0
    standing = min(total, total * told.standing / told.mean) if told.mean > 0.0 else 0.0
    return standing, total - standing


def _beyond(
    layout: Layout, lane: LaneLayout, sights: Sights, rooms: dict[ApproachId, tuple[float, float]]
) -> tuple[float, float]:
    """How many vehicles fit behind the exits' queues, and which share of the exits those fill."""
    room, filled = OPEN_ROOM * (lane.exits - len(lane.to)), 0.0
    for exit_id in lane.to:
        if exit_id not in rooms:
            rooms[exit_id] = _room(layout.downstream[exit_id], sights.get(exit_id, _NEVER))
        own = rooms[exit_id]
        room += own[0]
        filled += own[1]
    return max(0.5, room / lane.exits), filled / lane.exits


def _room(road: ApproachLayout, sight: Sight) -> tuple[float, float]:
    """Vehicles that still fit on an approach, each lane, and which share of it is filled."""
    if not sight.lanes:
        return OPEN_ROOM, 0.0
    standing = sum([told.mean if told.standing is None else told.standing for told in sight.lanes])
    capacity = sum([lane.capacity for lane in road.lanes])
    return (capacity - standing) / len(road.lanes), min(1.0, standing / capacity)


def ranked(model: ServiceModel, stages: Iterable[StageLayout]) -> tuple[StageLayout | None, float, float]:
    """The stage of the greatest rate (what is green, when others are no better), that rate, and its green."""
    chosen, most, green_s = None, -1.0, 0.0
    for stage in stages:
        rate, length_s = model.rate(stage)
        if rate > most + 1e-9 or (stage is model.current and rate >= most - 1e-9):
            chosen, most, green_s = stage, rate, length_s
    return chosen, most, green_s
