"""Sites for the tests of signals: one that a person would draw, and random ones that the site check passes."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Literal

from hypothesis import strategies as st

from protocol.ids import ApproachId, CameraId, DeviceId, IntersectionId, LaneId, PhaseId, SiteId, StageId
from protocol.site import Approach, Intersection, Lane, Phase, Plan, PlanStep, Site, Stage

ORIGIN = (7.6, 47.5)


def approach(name: str, phases: list[int], to: tuple[str, ...] = (), camera: bool = True) -> Approach:
    """An approach with one lane for each phase."""
    return Approach(
        id=ApproachId(name),
        line=((ORIGIN[0], ORIGIN[1] + 0.001), ORIGIN),
        speed_limit_mps=10.0,
        camera=CameraId(f"cam-{name}") if camera else None,
        road_width_m=3.5 * max(1, len(phases)),
        visible_length_m=60.0,
        lanes=tuple(
            Lane(id=LaneId(f"{name}-{at}"), phases=(PhaseId(phase),), to=to) for at, phase in enumerate(phases)
        ),
    )


def vehicle(
    phase: int, min_green_s: float = 5.0, max_green_s: float = 40.0, yellow_s: float = 3.0, all_red_s: float = 1.0
) -> Phase:
    return Phase(
        id=PhaseId(phase), min_green_s=min_green_s, max_green_s=max_green_s, yellow_s=yellow_s, all_red_s=all_red_s
    )


def pedestrian(
    phase: int, walk_s: float = 5.0, clearance_s: float = 8.0, max_green_s: float = 60.0, all_red_s: float = 1.0
) -> Phase:
    return Phase(
        id=PhaseId(phase),
        kind="pedestrian",
        walk_s=walk_s,
        pedestrian_clearance_s=clearance_s,
        max_green_s=max_green_s,
        all_red_s=all_red_s,
    )


def crossing(
    name: str = "north", control: Literal["fixed-time", "max-pressure"] = "max-pressure", offset_s: float = 0.0
) -> Intersection:
    """Two roads that cross. Phases 2 and 6: east and west; 4 and 8: north and south; 12 and 14 walk beside 2 and 4."""
    phases = (vehicle(2), vehicle(4), vehicle(6), vehicle(8), pedestrian(12), pedestrian(14))
    together = ({2, 6, 12}, {4, 8, 14})
    pairs = [(a.id, b.id) for a, b in combinations(phases, 2)]
    compatible = tuple(pair for pair in pairs if any(set(pair) <= group for group in together))
    return Intersection(
        id=IntersectionId(name),
        position=ORIGIN,
        controller=DeviceId(f"controller-{name}"),
        control=control,
        approaches=tuple(
            approach(f"{name}-{side}", [phase]) for side, phase in (("e", 2), ("n", 4), ("w", 6), ("s", 8))
        ),
        phases=phases,
        conflicts=tuple(pair for pair in pairs if pair not in compatible),
        compatible=compatible,
        stages=(
            Stage(id=StageId("ew"), phases=(PhaseId(2), PhaseId(6))),
            Stage(id=StageId("ew-walk"), phases=(PhaseId(2), PhaseId(6), PhaseId(12))),
            Stage(id=StageId("ns"), phases=(PhaseId(4), PhaseId(8))),
            Stage(id=StageId("ns-walk"), phases=(PhaseId(4), PhaseId(8), PhaseId(14))),
        ),
        plan=Plan(
            offset_s=offset_s,
            steps=(
                PlanStep(stage=StageId("ew-walk"), green_s=20.0),
                PlanStep(stage=StageId("ns-walk"), green_s=20.0),
            ),
        ),
    )


def site(*intersections: Intersection) -> Site:
    return Site(id=SiteId("test"), intersections=intersections or (crossing(),))


@st.composite
def random_intersections(draw: st.DrawFn, name: str = "random") -> Intersection:
    """Any phases, any conflict graph in which no phase is alone, any stages that serve every phase."""
    numbers = draw(st.lists(st.integers(1, 40), min_size=2, max_size=6, unique=True))
    walking = draw(st.sets(st.sampled_from(numbers), max_size=len(numbers) - 1))
    pairs = list(combinations(sorted(numbers), 2))
    # Neighbours in a ring always conflict, so that every phase has somebody to wait for.
    conflicts = draw(st.sets(st.sampled_from(pairs))) | set(pairwise(sorted(numbers)))
    phases = tuple(_random_phase(draw, number, number in walking) for number in numbers)
    stages = _random_stages(draw, numbers, conflicts)
    needed = {one.id: max(one.min_green_s, one.walk_s + one.pedestrian_clearance_s) for one in phases}
    steps = [
        PlanStep(stage=stage.id, green_s=max(needed[one] for one in stage.phases) + draw(st.sampled_from([0.5, 9.0])))
        for stage in stages
    ]
    cars = [number for number in numbers if number not in walking]
    return Intersection(
        id=IntersectionId(name),
        position=ORIGIN,
        controller=DeviceId(f"controller-{name}"),
        control=draw(st.sampled_from(["fixed-time", "max-pressure"])),
        approaches=tuple(approach(f"{name}-{at}", [number]) for at, number in enumerate(cars)),
        phases=phases,
        conflicts=tuple((PhaseId(a), PhaseId(b)) for a, b in sorted(conflicts)),
        compatible=tuple((PhaseId(a), PhaseId(b)) for a, b in pairs if (a, b) not in conflicts),
        stages=tuple(stages),
        plan=Plan(steps=tuple(steps), offset_s=draw(st.sampled_from([0.0, 7.0]))),
    )


def _random_phase(draw: st.DrawFn, number: int, walks: bool) -> Phase:
    if walks:
        return pedestrian(
            number,
            walk_s=draw(st.sampled_from([4.0, 7.0])),
            clearance_s=draw(st.sampled_from([1.0, 6.0, 12.0])),
            all_red_s=draw(st.sampled_from([0.0, 1.0])),
            max_green_s=draw(st.sampled_from([5.0, 30.0])),
        )
    least_s = draw(st.sampled_from([0.0, 4.0, 10.0]))
    return vehicle(
        number,
        min_green_s=least_s,
        max_green_s=least_s + draw(st.sampled_from([0.0, 5.0, 30.0])),
        yellow_s=draw(st.sampled_from([3.0, 4.5])),
        all_red_s=draw(st.sampled_from([0.0, 1.0, 2.5])),
    )


def _random_stages(draw: st.DrawFn, numbers: list[int], conflicts: set[tuple[int, int]]) -> list[Stage]:
    """For each phase a stage that begins with it and takes some of what it tolerates."""
    found: list[tuple[int, ...]] = []
    for first in numbers:
        group = [first]
        for other in draw(st.permutations(numbers)):
            fits = all(tuple(sorted((other, one))) not in conflicts for one in group)
            if other not in group and fits and draw(st.booleans()):
                group.append(other)
        if tuple(sorted(group)) not in found:
            found.append(tuple(sorted(group)))
    return [Stage(id=StageId(f"s{at}"), phases=tuple(PhaseId(one) for one in group)) for at, group in enumerate(found)]
