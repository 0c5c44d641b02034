"""An intersection of the site, made ready for deciding many times a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from edge_server.signals.timetable import Timetable, milliseconds, timetable
from protocol.ids import ApproachId, DeviceId, IntersectionId, LaneId, PhaseId, StageId
from protocol.site import Approach, Intersection, Phase, Site

VEHICLE_SPACING_M = 7.5


@dataclass(frozen=True)
class PhaseTimes:
    """least_ms: minimum green, or walk. most_ms: maximum green. clearance_ms: pedestrian clearance. change_ms: from the
    end of green or walk until conflicting phases may start."""

    pedestrian: bool
    least_ms: int
    most_ms: int
    yellow_ms: int
    clearance_ms: int
    change_ms: int

    @classmethod
    def of(cls, phase: Phase) -> PhaseTimes:
        pedestrian = phase.kind == "pedestrian"
        least_ms = milliseconds(phase.walk_s if pedestrian else phase.min_green_s)
        yellow_ms = 0 if pedestrian else milliseconds(phase.yellow_s)
        clearance_ms = milliseconds(phase.pedestrian_clearance_s) if pedestrian else 0
        return cls(
            pedestrian=pedestrian,
            least_ms=least_ms,
            most_ms=max(least_ms, milliseconds(phase.max_green_s)),
            yellow_ms=yellow_ms,
            clearance_ms=clearance_ms,
            change_ms=yellow_ms + clearance_ms + milliseconds(phase.all_red_s),
        )


@dataclass(frozen=True)
class LaneLayout:
    """capacity: vehicles that stand on the visible length, bumper to bumper. to: downstream approaches of this site."""

    id: LaneId
    area_m2: float
    capacity: float
    phases: frozenset[PhaseId]
    to: tuple[ApproachId, ...]
    exits: int


@dataclass(frozen=True)
class ApproachLayout:
    id: ApproachId
    watched: bool
    lanes: tuple[LaneLayout, ...]

    @classmethod
    def of(cls, approach: Approach, approaches: frozenset[ApproachId]) -> ApproachLayout:
        lanes = tuple(
            LaneLayout(
                id=lane.id,
                area_m2=lane.width_m * approach.visible_length_m,
                capacity=approach.visible_length_m / VEHICLE_SPACING_M,
                phases=frozenset(lane.phases),
                to=tuple(ApproachId(one) for one in lane.to if one in approaches),
                exits=len(lane.to),
            )
            for lane in approach.lanes
        )
        return cls(approach.id, approach.camera is not None, lanes)


@dataclass(frozen=True)
class StageLayout:
    """service_ms: at most this long from the choice of the stage to the end of its minimum times."""

    id: StageId
    phases: frozenset[PhaseId]
    pedestrians: frozenset[PhaseId]
    service_ms: int


@dataclass(frozen=True)
class Layout:
    """home: the stage that serves a phase when it has to be served: the first of the fixed plan that holds it.
    downstream: every approach of the site, for the lanes that lead into one."""

    intersection: IntersectionId
    device: DeviceId
    control: str
    approaches: tuple[ApproachLayout, ...]
    phases: Mapping[PhaseId, PhaseTimes]
    conflicts: Mapping[PhaseId, frozenset[PhaseId]]
    stages: Mapping[StageId, StageLayout]
    home: Mapping[PhaseId, StageLayout]
    plan: Timetable
    downstream: Mapping[ApproachId, ApproachLayout]

    @cached_property
    def pedestrians(self) -> frozenset[PhaseId]:
        return frozenset(phase for phase, times in self.phases.items() if times.pedestrian)

    @cached_property
    def round(self) -> tuple[int, int]:
        """The longest round through the stages at their least times: how many changes, and milliseconds."""
        homes = {stage.id: stage.service_ms for stage in self.home.values()}
        running_ms = max(stage.service_ms for stage in self.stages.values())
        return len(homes) + 1, running_ms + sum(homes.values())

    def compatible(self, phases: frozenset[PhaseId]) -> bool:
        """True when every phase exists and no two conflict."""
        return all(phase in self.phases and self.conflicts[phase].isdisjoint(phases) for phase in phases)

    @classmethod
    def of(cls, intersection: Intersection, approaches: Mapping[ApproachId, ApproachLayout]) -> Layout:
        pairs = intersection.conflict_set()
        phases = {phase.id: PhaseTimes.of(phase) for phase in intersection.phases}
        stages = {stage.id: _stage(stage.id, frozenset(stage.phases), phases) for stage in intersection.stages}
        planned = [stages[step.stage] for step in intersection.plan.steps]
        return cls(
            intersection=intersection.id,
            device=intersection.controller,
            control=intersection.control,
            approaches=tuple(approaches[one.id] for one in intersection.approaches),
            phases=phases,
            conflicts={one: frozenset(b for a, b in pairs if a == one) for one in phases},
            stages=stages,
            home={one: next(stage for stage in planned if one in stage.phases) for one in phases},
            plan=timetable(intersection),
            downstream=approaches,
        )


def layouts(site: Site) -> dict[IntersectionId, Layout]:
    """Every intersection of a site that has no fault (protocol.site_check)."""
    ids = frozenset(one.id for one in site.approaches())
    approaches = {one.id: ApproachLayout.of(one, ids) for one in site.approaches()}
    return {one.id: Layout.of(one, approaches) for one in site.intersections}


def _stage(stage: StageId, members: frozenset[PhaseId], phases: Mapping[PhaseId, PhaseTimes]) -> StageLayout:
    times = [phases[one] for one in members]
    longest_ms = max(one.least_ms + one.clearance_ms for one in times)
    change_ms = max(one.change_ms - one.clearance_ms for one in times)
    walking = frozenset(one for one in members if phases[one].pedestrian)
    return StageLayout(stage, members, walking, longest_ms + change_ms)
