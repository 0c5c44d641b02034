"""Phases, stages, conflicts and times of a signalised junction, derived from its net and its own programme.

Nothing is written by hand, so any net works. A *phase* is a set of signal links of one road that the programme always
shows alike. Two phases conflict when ways of theirs cross (the junction's foes), except where the programme itself
shows both green: then one gives way (a permissive turn). Traffic lights that share a junction whose ways cross are one
intersection here: steered apart they could both be green.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

from protocol.geo import to_lonlat
from protocol.ids import ApproachId, DeviceId, IntersectionId, LaneId, PhaseId, StageId
from protocol.site import Approach, Intersection, Lane, Phase, PhasePair, Plan, PlanStep, Stage
from protocol.site_check import YELLOW_FLOOR_S
from sim_devices.sumo.net import Net, Way
from sim_devices.sumo.programme import GREEN, Programme, joined, spells
from sim_devices.sumo.reach import reach_m

MIN_GREEN_S = 6.0
MAX_GREEN_S = 50.0
ALL_RED_MOST_MS = 5_000
WALK_S = 4.0
WALKING_MPS = 1.2
# More sets than this cost time and give no more choice.
STAGES_MOST = 24


@dataclass(frozen=True)
class Group:
    """A phase's links, as (traffic light, index). lanes: those that it gives green to; empty for a crossing."""

    phase: PhaseId
    links: tuple[int, ...]
    pedestrian: bool
    lanes: tuple[str, ...]
    length_m: float


@dataclass(frozen=True)
class Steered:
    """One intersection of a net. lights: its traffic lights, with how many links each has. ways: by link, counted
    through the lights. free: what links show that the programme never makes wait. stop_lanes: each approach's lanes."""

    intersection: Intersection
    programme: Programme
    lights: tuple[tuple[str, int], ...]
    ways: Mapping[int, tuple[Way, ...]]
    groups: tuple[Group, ...]
    free: Mapping[int, str]
    stop_lanes: Mapping[ApproachId, tuple[str, ...]]
    stages: Mapping[StageId, frozenset[PhaseId]]
    planned: Mapping[frozenset[PhaseId], str]


def clusters(net: Net, lights: Iterable[str]) -> list[tuple[str, ...]]:
    """Traffic lights that have to be steered as one, because ways of theirs cross."""
    names = sorted(lights)
    places: dict[str, set[str]] = {}
    for name in names:
        for way in net.signals.get(name, ()):
            if way.place is not None:
                places.setdefault(way.place[0], set()).add(name)
    merged: dict[str, set[str]] = {name: {name} for name in names}
    for sharing in places.values():
        for one, other in combinations(sorted(sharing), 2):
            crossing = any(net.crosses(a, b) for a in net.signals[one] for b in net.signals[other])
            if crossing and merged[one] is not merged[other]:
                merged[one] |= merged[other]
                for name in merged[other]:
                    merged[name] = merged[one]
    return sorted({tuple(sorted(some)) for some in merged.values()})


def derive(net: Net, lights: Sequence[str], programmes: Sequence[Programme], number: int) -> Steered | None:
    """The intersection of these traffic lights; None where there is nothing to choose (nobody ever waits for another).

    number: which makes its id; its name is SUMO's."""
    programme = joined(programmes)
    sizes = tuple((name, len(one.steps[0].signs)) for name, one in zip(lights, programmes, strict=True))
    ways: dict[int, tuple[Way, ...]] = {}
    base = 0
    for name, size in sizes:
        for way in net.signals.get(name, ()):
            assert way.signal is not None
            at = base + way.signal[1]
            if way.signal[1] < size:
                ways[at] = (*ways.get(at, ()), way)
        base += size
    groups, free = _groups(programme, ways, base)
    conflicts = _conflicts(net, programme, groups, ways)
    if not conflicts:
        return None
    plan = _planned(programme, groups)
    one_junction = len({way.place[0] for some in ways.values() for way in some if way.place}) <= 1
    stages = _stages(plan, groups, _crossing(net, groups, ways) | conflicts if one_junction else None)
    ids = {phases: StageId(f"s{at}") for at, phases in enumerate(stages, 1)}
    slug = f"j{number}"
    approaches, stop_lanes = _approaches(net, slug, groups, ways)
    xs = [net.positions[way.place[0]] for some in ways.values() for way in some if way.place is not None]
    middle = (sum(x for x, _ in xs) / len(xs), sum(y for _, y in xs) / len(xs)) if xs else (0.0, 0.0)
    phases = _phases(programme, groups, conflicts)
    lasting = {phase.id: max(phase.min_green_s, phase.walk_s + phase.pedestrian_clearance_s) for phase in phases}
    intersection = Intersection(
        id=IntersectionId(slug),
        name="+".join(lights),
        position=to_lonlat(*middle, (0.01, 0.01)),
        controller=DeviceId(f"{slug}-controller"),
        approaches=approaches,
        phases=phases,
        conflicts=tuple(sorted(conflicts)),
        compatible=tuple(pair for pair in combinations((group.phase for group in groups), 2) if pair not in conflicts),
        stages=tuple(
            Stage(id=ids[one], phases=tuple(sorted(one)), yields=_yielding(net, one, groups, ways)) for one in stages
        ),
        plan=Plan(
            steps=tuple(
                PlanStep(stage=ids[one], green_s=max(duration_ms / 1000, *(lasting[phase] for phase in one)))
                for one, duration_ms in plan.items()
            )
        ),
    )
    planned = {
        frozenset(group.phase for group in groups if group.links[0] in step.greens): step.signs
        for at, step in enumerate(programme.steps)
        if not programme.is_change(at)
    }
    return Steered(
        intersection, programme, sizes, ways, groups, free, stop_lanes, {ids[one]: one for one in stages}, planned
    )


def _groups(
    programme: Programme, ways: Mapping[int, tuple[Way, ...]], links: int
) -> tuple[tuple[Group, ...], dict[int, str]]:
    alike: dict[tuple[str, bool, str], list[int]] = {}
    free: dict[int, str] = {}
    for link in range(links):
        column = "".join(step.signs[link] for step in programme.steps)
        greens = "".join("1" if sign in GREEN else "0" for sign in column)
        if link not in ways or "1" not in greens or "0" not in greens:
            free[link] = column[0]
            continue
        first = ways[link][0]
        road = first.from_lane.rsplit("_", 1)[0]
        # Walkers have a head for each crossing; vehicles of one road that are always shown alike share one.
        alike.setdefault((f"{first.to_lane}" if first.crossing else road, first.crossing, greens), []).append(link)
    groups = []
    for number, ((_, crossing, _), some) in enumerate(alike.items(), 1):
        lanes = () if crossing else tuple(dict.fromkeys(way.from_lane for link in some for way in ways[link]))
        length_m = max(way.length_m for link in some for way in ways[link])
        groups.append(Group(PhaseId(number), tuple(some), crossing, lanes, length_m))
    return tuple(groups), free


def _conflicts(
    net: Net, programme: Programme, groups: Sequence[Group], ways: Mapping[int, tuple[Way, ...]]
) -> set[PhasePair]:
    """Pairs that may not be green together: they cross, and the programme never shows both."""
    shown = [step.greens for at, step in enumerate(programme.steps) if not programme.is_change(at)]
    together = {
        (one.phase, other.phase)
        for one, other in combinations(groups, 2)
        if any(one.links[0] in greens and other.links[0] in greens for greens in shown)
    }
    return _crossing(net, groups, ways, walkers=True) - together


def _crossing(
    net: Net, groups: Sequence[Group], ways: Mapping[int, tuple[Way, ...]], *, walkers: bool = False
) -> set[PhasePair]:
    """Pairs some ways of which cross or merge; walkers: those of crossings too."""
    return {
        (one.phase, other.phase)
        for one, other in combinations(groups, 2)
        if (walkers or not (one.pedestrian or other.pedestrian))
        and any(net.crosses(a, b) for i in one.links for j in other.links for a in ways[i] for b in ways[j])
    }


def _planned(programme: Programme, groups: Sequence[Group]) -> dict[frozenset[PhaseId], int]:
    """The programme's own stages in their order, with how long each is green in a cycle; every phase is in one."""
    found: dict[frozenset[PhaseId], int] = {}

    def add(at: int) -> None:
        greens = programme.steps[at].greens
        phases = frozenset(group.phase for group in groups if group.links[0] in greens)
        if phases:
            found[phases] = found.get(phases, 0) + programme.steps[at].duration_ms

    for at in range(len(programme.steps)):
        if not programme.is_change(at):
            add(at)
    for group in groups:
        if not any(group.phase in phases for phases in found):
            # A green that there is only while others change (an overlap): its longest step is a stage of its own.
            add(
                max(
                    (at for at, step in enumerate(programme.steps) if group.links[0] in step.greens),
                    key=lambda at: programme.steps[at].duration_ms,
                )
            )
    return found


def _stages(
    plan: Iterable[frozenset[PhaseId]], groups: Sequence[Group], crossing: set[PhasePair] | None
) -> list[frozenset[PhaseId]]:
    """The programme's stages; those without their walkers; and the largest sets in which nobody gives way to a vehicle.
    crossing: pairs that do; None where the lights are several junctions, whose stages are timed to one another."""
    walking = frozenset(group.phase for group in groups if group.pedestrian)
    found = dict.fromkeys(plan)
    if crossing is not None:
        for clique in _cliques({group.phase: _partners(group.phase, crossing) for group in groups}, STAGES_MOST):
            found.setdefault(clique)
    found.update(dict.fromkeys(one - walking for one in tuple(found) if one - walking))
    return list(found)


def _partners(phase: PhaseId, pairs: Iterable[PhasePair]) -> set[PhaseId]:
    return {a if b == phase else b for a, b in pairs if phase in (a, b)}


def _cliques(foes: Mapping[PhaseId, set[PhaseId]], most: int) -> list[frozenset[PhaseId]]:
    """Maximal sets without foes (Bron and Kerbosch, CACM 16 (1973), algorithm 457), the first few."""
    friends = {one: set(foes) - foes[one] - {one} for one in foes}
    found: list[frozenset[PhaseId]] = []

    def grow(chosen: frozenset[PhaseId], open_: set[PhaseId], shut: set[PhaseId]) -> None:
        if len(found) >= most:
            return
        if not open_ and not shut:
            found.append(chosen)
            return
        pivot = max(open_ | shut, key=lambda one: len(friends[one] & open_))
        for one in sorted(open_ - friends[pivot]):
            grow(chosen | {one}, open_ & friends[one], shut & friends[one])
            open_ = open_ - {one}
            shut = shut | {one}

    grow(frozenset(), set(foes), set())
    return found


def _phases(programme: Programme, groups: Sequence[Group], conflicts: set[PhasePair]) -> tuple[Phase, ...]:
    times = {group.phase: spells(programme, group.links[0]) for group in groups}
    cycle_ms = programme.cycle_ms
    gaps = {}
    for group in groups:
        foes = _partners(group.phase, conflicts)
        gaps[group.phase] = min(
            (
                (begin - end - yellow) % cycle_ms
                for _, end, yellow in times[group.phase]
                for foe in foes
                for begin, _, _ in times[foe]
            ),
            default=0,
        )
    usual_ms = max((gap for gap in gaps.values() if gap <= ALL_RED_MOST_MS), default=0)
    found = []
    for group in groups:
        gap_ms = gaps[group.phase]
        all_red_s = (gap_ms if gap_ms <= ALL_RED_MOST_MS else usual_ms) / 1000
        name = ", ".join(group.lanes) or "crossing"
        if group.pedestrian:
            clearance_s = max(float(ceil(group.length_m / WALKING_MPS)), 1.0)
            found.append(
                Phase(
                    id=group.phase, name=name, kind="pedestrian", min_green_s=0.0, max_green_s=MAX_GREEN_S,
                    yellow_s=0.0, all_red_s=0.0, walk_s=WALK_S, pedestrian_clearance_s=clearance_s,
                )
            )  # fmt: skip
            continue
        yellow_s = max((yellow for _, _, yellow in times[group.phase]), default=0) / 1000
        found.append(
            Phase(
                id=group.phase, name=name, min_green_s=MIN_GREEN_S, max_green_s=MAX_GREEN_S,
                yellow_s=max(YELLOW_FLOOR_S, yellow_s), all_red_s=all_red_s,
            )
        )  # fmt: skip
    return tuple(found)


def _yielding(
    net: Net, stage: frozenset[PhaseId], groups: Sequence[Group], ways: Mapping[int, tuple[Way, ...]]
) -> tuple[PhaseId, ...]:
    """Phases of a stage some vehicles of which give way to vehicles of another one."""
    members = [group for group in groups if group.phase in stage and not group.pedestrian]
    return tuple(
        one.phase
        for one in members
        if any(
            net.gives_way(a, b)
            for other in members if other is not one
            for i in one.links for j in other.links for a in ways[i] for b in ways[j]
        )
    )  # fmt: skip


def _approaches(
    net: Net, slug: str, groups: Sequence[Group], ways: Mapping[int, tuple[Way, ...]]
) -> tuple[tuple[Approach, ...], dict[ApproachId, tuple[str, ...]]]:
    """One for each road that ends at a stop line here. `to` holds SUMO's edges; the city-wide map makes them approaches
    (sim_devices.sumo.roads)."""
    roads: dict[str, list[str]] = {}
    served: dict[str, list[PhaseId]] = {}
    exits: dict[str, list[str]] = {}
    across: dict[str, float] = {}
    for group in groups:
        for link in group.links if not group.pedestrian else ():
            for way in ways[link]:
                road = net.lanes[way.from_lane].edge
                roads.setdefault(road, [])
                if way.from_lane not in roads[road]:
                    roads[road].append(way.from_lane)
                served.setdefault(way.from_lane, []).append(group.phase)
                exits.setdefault(way.from_lane, []).append(net.lanes[way.to_lane].edge)
                across[road] = max(across.get(road, 0.0), way.length_m)
    approaches, stop_lanes = [], {}
    for at, (road, lanes) in enumerate(roads.items(), 1):
        lanes.sort(key=lambda lane: int(lane.rsplit("_", 1)[1]))
        name = ApproachId(f"{slug}-a{at}")
        stop_lanes[name] = tuple(lanes)
        approaches.append(
            Approach(
                id=name,
                name=road,
                line=((0.01, 0.01), (0.01, 0.01)),
                speed_limit_mps=max(net.lanes[lane].speed_mps for lane in lanes),
                crossing_width_m=max(1.0, across[road]),
                camera=f"{name}-camera",  # type: ignore[arg-type]
                road_width_m=sum(net.lanes[lane].width_m for lane in lanes),
                visible_length_m=max(1.0, reach_m(net, tuple(lanes))),
                lanes=tuple(
                    Lane(
                        id=LaneId(f"lane-{position}"),
                        width_m=net.lanes[lane].width_m,
                        to=tuple(dict.fromkeys(exits[lane])),
                        phases=tuple(dict.fromkeys(served[lane])),
                    )
                    for position, lane in enumerate(lanes, 1)
                ),
            )
        )
    return tuple(approaches), stop_lanes
