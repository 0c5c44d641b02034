"""A road through several crossings in a row, and a vehicle that drives along it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edge_server.signals.preemption.signature import sign
from node.clock import Clock
from node.identity import Identity
from protocol.ids import DeviceId, SiteId
from protocol.messages import Leg, PriorityRoute
from protocol.preemption import PreemptionRules
from protocol.site import Neighbour, Site
from tests.edge_server.signals.preemption.desk_kit import KEYS
from tests.edge_server.signals.signal_sites import crossing

NAMES = ("first", "second", "third")
SPACING_M = 250
SPEED_CMPS = 1_500


def road(
    *names: str,
    site: str = "test",
    onward: str = "",
    rules: PreemptionRules | None = None,
    neighbours: tuple[Neighbour, ...] = (),
) -> Site:
    """From the west each crossing leads to the next one's west side, the last to the exit `onward`; the other sides
    lead out."""
    found = []
    for name, following in zip(names, (*(f"{one}-w" for one in names[1:]), onward or "out"), strict=True):
        one = crossing(name)
        approaches = []
        for approach in one.approaches:
            to = (following,) if approach.id == f"{name}-w" else (f"{approach.id}-exit",)
            lanes = tuple(replace(lane, to=to) for lane in approach.lanes)
            approaches.append(replace(approach, lanes=lanes))
        found.append(replace(one, approaches=tuple(approaches)))
    rules = rules or PreemptionRules(lead_s=30.0)
    return Site(id=SiteId(site), intersections=tuple(found), preemption=rules, neighbours=neighbours)


def leg(name: str, following: str | None = None, *, site: str = "test", distance_m: int = SPACING_M) -> Leg:
    return Leg(site=site, intersection=name, approach=f"{name}-w", egress=following, distance_m=distance_m)


def way(*names: str, first_m: int = SPACING_M, site: str = "test", out: str = "out") -> tuple[Leg, ...]:
    """Through these crossings from west to east."""
    following = (*(f"{one}-w" for one in names[1:]), out)
    return tuple(
        leg(name, to, site=site, distance_m=first_m if at == 0 else SPACING_M)
        for at, (name, to) in enumerate(zip(names, following, strict=True))
    )


class Driver:
    """A vehicle that says where it is going."""

    def __init__(self, clock: Clock, name: str = "ambulance-1") -> None:
        self.name = name
        self.sequence = 0
        self._identity = Identity(DeviceId(name), clock)

    def route(self, legs: tuple[Leg, ...], action: str = "renew", **fields: Any) -> PriorityRoute:
        key = fields.pop("key", KEYS.get(self.name))
        self.sequence += 1
        said = {
            "action": action,
            "request": 1,
            "sequence": self.sequence,
            "role": self.name.rpartition("-")[0],
            "speed_cmps": SPEED_CMPS,
            "legs": legs,
            "evidence": ("beacons",),
        }
        message = PriorityRoute(**{**self._identity.live(), **said, **fields})
        return sign(message, key) if key is not None else message
