"""What a controller knows of its intersection: times, conflicts and its own plan, from the site file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edge_server.signals.timetable import Timetable, milliseconds, timetable
from protocol.ids import IntersectionId, PhaseId
from protocol.site import Intersection, Phase


@dataclass(frozen=True)
class Head:
    """Times of one phase's signal heads. least_ms: minimum green, or walk. clearing_ms: yellow, or pedestrian
    clearance. all_red_ms: from red until a conflicting phase may start."""

    pedestrian: bool
    least_ms: int
    clearing_ms: int
    all_red_ms: int
    conflicts: frozenset[PhaseId]

    @classmethod
    def of(cls, phase: Phase, conflicts: frozenset[PhaseId]) -> Head:
        pedestrian = phase.kind == "pedestrian"
        return cls(
            pedestrian=pedestrian,
            least_ms=milliseconds(phase.walk_s if pedestrian else phase.min_green_s),
            clearing_ms=milliseconds(phase.pedestrian_clearance_s if pedestrian else phase.yellow_s),
            all_red_ms=milliseconds(phase.all_red_s),
            conflicts=conflicts,
        )


@dataclass(frozen=True)
class Wiring:
    intersection: IntersectionId
    heads: Mapping[PhaseId, Head]
    stages: tuple[frozenset[PhaseId], ...]
    plan: Timetable

    @classmethod
    def of(cls, intersection: Intersection) -> Wiring:
        """The site must be free of faults (protocol.site_check)."""
        pairs = intersection.conflict_set()
        heads = {
            phase.id: Head.of(phase, frozenset(b for a, b in pairs if a == phase.id)) for phase in intersection.phases
        }
        stages = tuple(frozenset(stage.phases) for stage in intersection.stages)
        return cls(intersection.id, heads, stages, timetable(intersection))

    @property
    def phases(self) -> Collection[PhaseId]:
        return self.heads.keys()

    def conflicting(self, phases: frozenset[PhaseId]) -> frozenset[PhaseId]:
        """Those of `phases` that conflict with another of them."""
        return frozenset(one for one in phases if not self.heads[one].conflicts.isdisjoint(phases))
