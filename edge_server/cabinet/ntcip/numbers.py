"""Which phase of the site file is which of the controller's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_server.cabinet.ntcip.objects import groups_of
from protocol.cabinet import Cabinet
from protocol.ids import PhaseId
from protocol.site import Intersection


@dataclass(frozen=True)
class Numbers:
    """vehicles, walks: from a phase of the site file to the controller's phase whose signal heads it has. A walk shows
    while its controller's phase runs. all: every phase of the controller that the site file knows."""

    vehicles: Mapping[PhaseId, int]
    walks: Mapping[PhaseId, int]

    @classmethod
    def of(cls, intersection: Intersection, cabinet: Cabinet) -> Numbers:
        told = dict(cabinet.phases)
        numbers = {one.id: told.get(one.id, int(one.id)) for one in intersection.phases}
        walks = {one.id for one in intersection.phases if one.kind == "pedestrian"}
        return cls(
            {phase: number for phase, number in numbers.items() if phase not in walks},
            {phase: number for phase, number in numbers.items() if phase in walks},
        )

    @property
    def all(self) -> frozenset[int]:
        return frozenset(self.vehicles.values()) | frozenset(self.walks.values())

    @property
    def groups(self) -> range:
        return groups_of(self.all)

    def running(self, phases: frozenset[PhaseId]) -> frozenset[int]:
        """The controller's phases that run while these show green or walk."""
        return frozenset(self.vehicles.get(one) or self.walks[one] for one in phases)

    def walking(self, phases: frozenset[PhaseId]) -> frozenset[int]:
        return frozenset(self.walks[one] for one in phases if one in self.walks)
