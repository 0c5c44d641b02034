"""A vehicle's route, read against the site: which legs are ours, whom it is handed on to, and where it breaks. Pure.

What lies before the first fault is served; nothing behind it is, here or elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from protocol.ids import ApproachId, IntersectionId, SiteId
from protocol.messages.priority_route import Leg
from protocol.site import Site

# route-gap: a leg does not lead to the next one. The others: the leg names what is not known here.
Fault = Literal["route-gap", "unknown-intersection", "unknown-neighbour"]


@dataclass(frozen=True)
class Ways:
    """What a site knows of ways. egresses: of each approach, where its lanes lead to; exits: of each neighbour, the
    egresses that lead into it."""

    site: SiteId
    intersections: frozenset[IntersectionId]
    egresses: Mapping[ApproachId, frozenset[str]]
    exits: Mapping[SiteId, frozenset[str]]

    @classmethod
    def of(cls, site: Site) -> Ways:
        approaches = [approach for one in site.intersections for approach in one.approaches]
        return cls(
            site.id,
            frozenset(one.id for one in site.intersections),
            {one.id: frozenset(to for lane in one.lanes for to in lane.to) for one in approaches},
            {one.site: frozenset(one.exits) for one in site.neighbours},
        )

    def leads(self, leg: Leg, following: Leg) -> bool:
        """Whether a leg of ours leads to the one after it."""
        reached = self.egresses.get(leg.approach, frozenset()) if leg.egress is None else frozenset((leg.egress,))
        if following.site == self.site:
            return following.approach in reached
        exits = self.exits.get(following.site, frozenset())
        return not exits or not exits.isdisjoint(reached)


@dataclass(frozen=True)
class OwnLeg:
    """distance_m: to its stop line, from the vehicle. linked: the leg before leads here."""

    leg: Leg
    distance_m: int
    linked: bool = True


@dataclass(frozen=True)
class Route:
    """own: each intersection once, the first time that the way leads through it. onward: the sites that come next.
    fault: at which leg it breaks, and why."""

    own: tuple[OwnLeg, ...]
    onward: tuple[SiteId, ...]
    fault: tuple[int, Fault] | None = None


def read_route(ways: Ways, legs: tuple[Leg, ...]) -> Route:
    own: dict[IntersectionId, OwnLeg] = {}
    onward: list[SiteId] = []
    distance_m = 0
    before: Leg | None = None
    for number, leg in enumerate(legs):
        distance_m += leg.distance_m
        ours = leg.site == ways.site
        # A foreign leg behind another one is for that site to judge.
        entered = before is None or before.site == ways.site
        if ours and leg.intersection not in ways.intersections:
            return _broken(own, onward, number, "unknown-intersection")
        if not ours and entered and leg.site not in ways.exits:
            return _broken(own, onward, number, "unknown-neighbour")
        if before is not None and before.site == ways.site and not ways.leads(before, leg):
            if ours and leg.intersection not in own:
                own[leg.intersection] = OwnLeg(leg, distance_m, linked=False)
            return _broken(own, onward, number, "route-gap")
        if ours:
            own.setdefault(leg.intersection, OwnLeg(leg, distance_m))
        elif entered and leg.site not in onward:
            onward.append(leg.site)
        before = leg
    return Route(tuple(own.values()), tuple(onward))


def _broken(own: Mapping[IntersectionId, OwnLeg], onward: list[SiteId], number: int, fault: Fault) -> Route:
    return Route(tuple(own.values()), tuple(onward), (number, fault))
