"""The terms of one intersection: the site's written rules, and which phases serve which way through it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from edge_server.signals.timetable import milliseconds
from protocol.ids import ApproachId, IntersectionId, PhaseId
from protocol.preemption import Evidence, Level, PreemptionRules, VehicleRole
from protocol.site import Approach, Intersection, Site


class Terms(Struct, frozen=True):
    """routes: by approach and egress the phases that serve it; egress "" stands for any. All times in milliseconds;
    protocol.preemption tells what each means."""

    intersection: IntersectionId
    routes: Mapping[ApproachId, Mapping[str, tuple[PhaseId, ...]]]
    conflicts: Mapping[PhaseId, tuple[PhaseId, ...]]
    roles: Mapping[VehicleRole, tuple[Level, int]]
    evidence: tuple[Evidence, ...]
    camera_preempts: bool
    requests_per_hour: int
    skew_ms: int
    queue: int
    renew_ms: int
    cap_ms: Mapping[Level, int]
    lead_ms: Mapping[Level, int]
    run_ms: int
    lockout_ms: int
    recovery_ms: int
    early_share: float

    @classmethod
    def of(cls, intersection: Intersection, rules: PreemptionRules) -> Terms:
        pairs = intersection.conflict_set()
        return cls(
            intersection=intersection.id,
            routes={approach.id: _routes(approach) for approach in intersection.approaches},
            conflicts={one.id: tuple(sorted(b for a, b in pairs if a == one.id)) for one in intersection.phases},
            roles={rule.role: (rule.level, rule.rank) for rule in rules.roles},
            evidence=rules.evidence,
            camera_preempts=intersection.camera_preempts,
            requests_per_hour=rules.requests_per_hour,
            skew_ms=milliseconds(rules.skew_s),
            queue=rules.queue,
            renew_ms=milliseconds(rules.renew_s),
            cap_ms={"preempt": milliseconds(rules.cap_s), "priority": milliseconds(rules.priority_cap_s)},
            lead_ms={"preempt": milliseconds(rules.lead_s), "priority": milliseconds(rules.priority_lead_s)},
            run_ms=milliseconds(rules.run_s),
            lockout_ms=milliseconds(rules.lockout_s),
            recovery_ms=milliseconds(rules.recovery_s),
            early_share=rules.early_share,
        )

    def phases(self, approach: ApproachId, egress: str | None) -> tuple[PhaseId, ...]:
        """The phases that let a vehicle through; none where there is no such way."""
        return self.routes.get(approach, {}).get(egress or "", ())

    def clash(self, some: tuple[PhaseId, ...], others: tuple[PhaseId, ...]) -> bool:
        return any(other in self.conflicts.get(one, ()) for one in some for other in others)


def terms_of(site: Site) -> dict[IntersectionId, Terms]:
    return {one.id: Terms.of(one, site.preemption) for one in site.intersections}


def _routes(approach: Approach) -> dict[str, tuple[PhaseId, ...]]:
    found: dict[str, set[PhaseId]] = {"": set()}
    for lane in approach.lanes:
        for egress in ("", *lane.to):
            found.setdefault(egress, set()).update(lane.phases)
    return {egress: tuple(sorted(phases)) for egress, phases in found.items()}
