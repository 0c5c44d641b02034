"""J2735 knows places by numbers: they count the site file's order, from 1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocol.ids import ApproachId, IntersectionId
from protocol.site import Site


@dataclass(frozen=True)
class Numbers:
    """intersections: IntersectionID (0..65535). approaches, egresses: ApproachID (0..15) within an intersection, the
    egresses in the order in which its lanes name them, after the approaches. Signal groups are the phases' own
    numbers."""

    intersections: dict[IntersectionId, int]
    approaches: dict[IntersectionId, tuple[ApproachId, ...]]
    egresses: dict[IntersectionId, tuple[str, ...]]

    @classmethod
    def of(cls, site: Site) -> Numbers:
        places = site.intersections
        return cls(
            {one.id: number for number, one in enumerate(places, start=1)},
            {one.id: tuple(approach.id for approach in one.approaches) for one in places},
            {
                one.id: tuple(dict.fromkeys(to for way in one.approaches for lane in way.lanes for to in lane.to))
                for one in places
            },
        )

    def intersection(self, number: int) -> IntersectionId:
        """Raises ValueError."""
        for name, own in self.intersections.items():
            if own == number:
                return name
        raise ValueError(f"there is no intersection {number}")

    def inbound(self, place: IntersectionId, approach: ApproachId) -> int:
        return self.approaches[place].index(approach) + 1

    def outbound(self, place: IntersectionId, egress: str) -> int:
        return len(self.approaches[place]) + self.egresses[place].index(egress) + 1

    def approach(self, place: IntersectionId, number: int) -> ApproachId:
        """Raises ValueError."""
        if not 1 <= number <= len(self.approaches[place]):
            raise ValueError(f"there is no approach {number} at {place}")
        return self.approaches[place][number - 1]

    def egress(self, place: IntersectionId, number: int) -> str:
        """Raises ValueError."""
        at = number - len(self.approaches[place]) - 1
        if not 0 <= at < len(self.egresses[place]):
            raise ValueError(f"there is no egress {number} at {place}")
        return self.egresses[place][at]


def entity_id(vehicle: str) -> str:
    """TemporaryID: four octets, in hexadecimal, by which a vehicle recognises itself."""
    return hashlib.sha256(vehicle.encode()).hexdigest()[:8].upper()
