"""The written rules of pre-emption and priority: who may ask, how long it may hold, what follows (site.toml)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

# Emergency roles pre-empt; the others get priority inside coordination, as their rule in the site file says.
VehicleRole = Literal["ambulance", "fire-engine", "police", "bus", "freight"]
# preempt: takes the signals. priority: an extended or an early green inside the plan's order (NTCIP 1211), no more.
Level = Literal["preempt", "priority"]
# What a vehicle says for itself: lamps on, siren on, sent by its dispatch centre.
Evidence = Literal["beacons", "siren", "dispatched"]
# SAE J2735 RequestImportanceLevel: 1 is the least, 14 the most.
Importance = Annotated[int, Meta(ge=1, le=14)]
Span = Annotated[float, Meta(gt=0.0, le=600.0)]


class RoleRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one role may ask for. rank: the most importance that it may claim."""

    role: VehicleRole
    level: Level
    rank: Importance


ROLES = (
    RoleRule(role="ambulance", level="preempt", rank=14),
    RoleRule(role="fire-engine", level="preempt", rank=14),
    RoleRule(role="police", level="preempt", rank=12),
    RoleRule(role="bus", level="priority", rank=4),
    RoleRule(role="freight", level="priority", rank=2),
)


class PreemptionRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[preemption]` of site.toml; docs/preemption.md tells each.

    roles: the allow-list; who is not named is refused. evidence: a vehicle has to claim one of these ([] asks for
    none). requests_per_hour: of one vehicle at one intersection; renewals don't count. skew_s: how far a request's time
    may be from ours. queue: how many may wait at one intersection.
    renew_s: a lease that is not renewed for so long ends. cap_s, priority_cap_s: the longest that one vehicle holds,
    all its leases together until lockout_s have passed. run_s: the longest that leases follow one another without a
    recovery between. lead_s, priority_lead_s: how long before its arrival a vehicle is given the signals at the
    earliest. lockout_s: after leases, and for a vehicle after its own. recovery_s: the longest recovery.
    early_share: of a planned green, how much an early green may take from the stage before.
    timezone: of the shifts in the key file (an IANA name)."""

    roles: tuple[RoleRule, ...] = ROLES
    evidence: tuple[Evidence, ...] = ("beacons", "dispatched")
    requests_per_hour: Annotated[int, Meta(ge=1, le=3600)] = 60
    skew_s: Span = 10.0
    queue: Annotated[int, Meta(ge=1, le=64)] = 8
    renew_s: Span = 5.0
    cap_s: Span = 60.0
    run_s: Span = 120.0
    lead_s: Span = 15.0
    lockout_s: Span = 10.0
    recovery_s: Span = 60.0
    priority_cap_s: Span = 15.0
    priority_lead_s: Span = 15.0
    early_share: Annotated[float, Meta(ge=0.0, le=0.9)] = 0.3
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
