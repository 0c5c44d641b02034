"""What a gateway knows of its intersection, from the site file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.ids import IntersectionId, PhaseId
from protocol.site import Intersection


@dataclass(frozen=True)
class Place:
    """phases: each, and whether it is pedestrians'. conflicts: both ways round."""

    intersection: IntersectionId
    phases: Mapping[PhaseId, bool]
    conflicts: Mapping[PhaseId, frozenset[PhaseId]]

    @classmethod
    def of(cls, intersection: Intersection) -> Place:
        pairs = intersection.conflict_set()
        return cls(
            intersection.id,
            {one.id: one.kind == "pedestrian" for one in intersection.phases},
            {one.id: frozenset(b for a, b in pairs if a == one.id) for one in intersection.phases},
        )

    @property
    def pedestrians(self) -> frozenset[PhaseId]:
        return frozenset(phase for phase, walks in self.phases.items() if walks)

    def conflicting(self, phases: frozenset[PhaseId]) -> frozenset[PhaseId]:
        """Those of `phases` that conflict with another of them."""
        return frozenset(one for one in phases if not self.conflicts[one].isdisjoint(phases))
