"""All that is remembered of the pre-emption of one intersection. It outlives a restart."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from edge_server.signals.preemption.events import HigherKind
from edge_server.signals.preemption.terms import Terms
from protocol.ids import ApproachId, PhaseId
from protocol.preemption import Level, VehicleRole

# A claim that rests on what cameras see has this in the place of a vehicle's name: no vehicle's id has a colon.
CAMERA = "camera:"


class Claim(Struct, frozen=True):
    """What one vehicle wants, and, once it is granted, holds. rank: its importance, at most its role's. arrival_ms: at
    the stop line. ahead_ms: how long before that it is granted at the earliest, None for the longest lead. asked_ms:
    first. until_ms: the cap of the lease, None while it waits. used_ms: what it held before."""

    vehicle: str
    request: int
    role: VehicleRole | None
    level: Level
    rank: int
    approach: ApproachId
    egress: str | None
    phases: tuple[PhaseId, ...]
    arrival_ms: int
    asked_ms: int
    renewed_ms: int
    granted_ms: int | None = None
    until_ms: int | None = None
    used_ms: int = 0
    ahead_ms: int | None = None


class Spent(Struct, frozen=True):
    """What a vehicle has had: counts until until_ms. locked: nothing more before then."""

    used_ms: int
    until_ms: int
    locked: bool


class Last(Struct, frozen=True):
    """The newest message of a vehicle. mark: tells a repetition from another message of the same number."""

    sequence: int
    mark: str
    at_ms: int


class Run(Struct, frozen=True):
    """Leases that followed one another without a recovery: since when, and the phases that the latest held."""

    since_ms: int
    phases: tuple[PhaseId, ...]


class Recovery(Struct, frozen=True):
    """The others' turn after leases. against: the phases that the last lease held. owed: the phase that has been
    without green for longest, None until the controller is heard."""

    until_ms: int
    against: tuple[PhaseId, ...]
    owed: PhaseId | None = None


class Sighting(Struct, frozen=True):
    """A camera's claim where cameras don't pre-empt: it calls its phases, and extends them while they are green."""

    phases: tuple[PhaseId, ...]
    since_ms: int
    seen_ms: int


class State(Struct, frozen=True):
    """run: the leases since the last recovery. locked_ms: no lease of a level begins before. higher: what outranks us
    now, by its source. asked: when each vehicle made new requests within the hour."""

    terms: Terms
    holder: Claim | None = None
    queue: tuple[Claim, ...] = ()
    run: Run | None = None
    locked_ms: Mapping[Level, int] = {}
    recovery: Recovery | None = None
    higher: Mapping[str, HigherKind] = {}
    sightings: Mapping[ApproachId, Sighting] = {}
    last: Mapping[str, Last] = {}
    spent: Mapping[str, Spent] = {}
    asked: Mapping[str, tuple[int, ...]] = {}

    @property
    def normal(self) -> bool:
        """True while nothing here bears on the signals."""
        return self.holder is None and self.recovery is None and not self.higher and not self.sightings

    @property
    def outranked(self) -> bool:
        return bool(self.higher)

    def claim_of(self, vehicle: str) -> Claim | None:
        if self.holder is not None and self.holder.vehicle == vehicle:
            return self.holder
        return next((one for one in self.queue if one.vehicle == vehicle), None)
