"""An intersection of the site, made ready for deciding many times a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edge_server.signals.rings import Rings, rings_of
from edge_server.signals.timetable import Timetable, milliseconds, timetable
from protocol.ids import ApproachId, DeviceId, IntersectionId, LaneId, PhaseId, StageId
from protocol.site import Approach, Intersection, Phase, Site, Stage

if TYPE_CHECKING:
    from edge_server.signals.service_model import Change

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
    """capacity: vehicles that stand on the visible length, bumper to bumper. travel_s: over that length at the speed
    limit. to: downstream approaches of this site."""

    id: LaneId
    area_m2: float
    capacity: float
    travel_s: float
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
                travel_s=approach.visible_length_m / approach.speed_limit_mps,
                phases=frozenset(lane.phases),
                to=tuple(ApproachId(one) for one in lane.to if one in approaches),
                exits=len(lane.to),
            )
            for lane in approach.lanes
        )
        return cls(approach.id, approach.camera is not None, lanes)


@dataclass(frozen=True)
class StageLayout:
    """service_ms: at most this long from the choice of the stage to the end of its minimum times. yields: phases whose
    vehicles give way to others of the stage."""

    id: StageId
    phases: frozenset[PhaseId]
    pedestrians: frozenset[PhaseId]
    service_ms: int
    yields: frozenset[PhaseId] = frozenset()


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

    @cached_property
    def flat(self) -> tuple[LaneLayout, ...]:
        """All lanes, in the order of their approaches."""
        return tuple(lane for approach in self.approaches for lane in approach.lanes)

    @cached_property
    def served(self) -> Mapping[StageId, tuple[tuple[int, float, bool], ...]]:
        """Of each stage, the lanes that it serves: position among all lanes of the intersection, which share of its
        phases is in the stage, and whether that share gives way."""
        return {
            stage.id: tuple(
                (at, len(own) / len(lane.phases), own <= stage.yields)
                for at, lane in enumerate(self.flat)
                if (own := lane.phases & stage.phases)
            )
            for stage in self.stages.values()
        }

    @cached_property
    def changes(self) -> dict[tuple[frozenset[PhaseId], StageId], Change]:
        """A place to keep what a change from some phases to a stage takes, once it is known."""
        return {}

    @cached_property
    def rings(self) -> Rings | None:
        """The order of a NEMA controller; None where the phases make no dual ring."""
        return rings_of(self)

    def compatible(self, phases: frozenset[PhaseId]) -> bool:
        """True when every phase exists and no two conflict."""
        return all(phase in self.phases and self.conflicts[phase].isdisjoint(phases) for phase in phases)

    @classmethod
    def of(cls, intersection: Intersection, approaches: Mapping[ApproachId, ApproachLayout]) -> Layout:
        pairs = intersection.conflict_set()
        phases = {phase.id: PhaseTimes.of(phase) for phase in intersection.phases}
        stages = {stage.id: _stage(stage, phases) for stage in intersection.stages}
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


def _stage(stage: Stage, phases: Mapping[PhaseId, PhaseTimes]) -> StageLayout:
    members = frozenset(stage.phases)
    times = [phases[one] for one in members]
    longest_ms = max(one.least_ms + one.clearance_ms for one in times)
    change_ms = max(one.change_ms - one.clearance_ms for one in times)
    walking = frozenset(one for one in members if phases[one].pedestrian)
    return StageLayout(stage.id, members, walking, longest_ms + change_ms, frozenset(stage.yields))
