"""Who drives when and where to: Poisson arrivals at the city's edge, from a seed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import cos, pi

import numpy as np

from sim_devices.city.layout import CityLayout
from sim_devices.city.network import Network
from sim_devices.render.vehicle import EMERGENCY_KINDS, Kind

# Vehicles an hour that enter at each edge of the city, averaged over the profile.
LEVELS: dict[str, float] = {"light": 380.0, "normal": 620.0, "heavy": 820.0}
PROFILE_PERIOD_S = 1200.0
QUIET, PEAK = 0.55, 1.45

MIX: tuple[tuple[Kind, float], ...] = (
    ("car", 0.755), ("van", 0.09), ("truck", 0.05), ("bus", 0.04), ("motorcycle", 0.055),
    ("ambulance", 0.005), ("fire-engine", 0.0025), ("police", 0.0025),
)  # fmt: skip
BEACONS_ON = 0.8


@dataclass(frozen=True)
class Trip:
    """One vehicle enters at `edges[0]` and drives along `edges`."""

    id: str
    kind: Kind
    edges: tuple[str, ...]
    beacons: bool


def profile(t_s: float) -> float:
    """Demand at t_s as a share of its mean: quiet at first, the first peak after two minutes, then one every 20 min."""
    if t_s < 120.0:
        return QUIET + (PEAK - QUIET) * t_s / 120.0
    return QUIET + (PEAK - QUIET) * (0.5 + 0.5 * cos(2 * pi * (t_s - 120.0) / PROFILE_PERIOD_S))


class Demand:
    """Trips in the order of time. The same seed, layout and level give the same trips, however time is cut up."""

    SLICE_S = 0.1

    def __init__(self, layout: CityLayout, network: Network, seed: int, level: str = "normal") -> None:
        self._random = np.random.default_rng((seed, 0xDE))
        self._rate_per_h = LEVELS[level]
        arms = [arm for arm in layout.arms() if arm.at_edge]
        self._routes: dict[str, list[tuple[str, ...]]] = {
            arm.approach: [
                path
                for other in arms
                if other.leaving != arm.leaving and (path := _shortest(network, arm.approach, other.leaving))
            ]
            for arm in arms
        }
        self._slices = 0
        self._sent = 0

    def until(self, t_s: float) -> list[Trip]:
        """The trips since the last call that begin before t_s."""
        trips: list[Trip] = []
        while (self._slices + 1) * self.SLICE_S <= t_s + 1e-9:
            mean = self._rate_per_h / 3600 * profile(self._slices * self.SLICE_S) * self.SLICE_S
            self._slices += 1
            for origin, count in zip(self._routes, self._random.poisson(mean, len(self._routes)), strict=True):
                trips += [self._trip(origin) for _ in range(count)]
        return trips

    def _trip(self, origin: str) -> Trip:
        self._sent += 1
        kinds, shares = zip(*MIX, strict=True)
        kind = kinds[self._random.choice(len(kinds), p=np.array(shares) / sum(shares))]
        routes = self._routes[origin]
        # Straight on is what most want: weigh routes by how few turns they need.
        weights = np.array([2.0 if _opposite(route) else 1.0 for route in routes])
        route = routes[self._random.choice(len(routes), p=weights / weights.sum())]
        beacons = kind in EMERGENCY_KINDS and self._random.random() < BEACONS_ON
        return Trip(f"{kind}-{self._sent}", kind, route, bool(beacons))


def _opposite(route: tuple[str, ...]) -> bool:
    first, last = route[0].rsplit("-", 1)[1], route[-1].removesuffix("-exit").rsplit("-", 1)[1]
    return {first, last} in ({"north", "south"}, {"east", "west"})


def _shortest(network: Network, origin: str, destination: str) -> tuple[str, ...]:
    """The way with the fewest streets; none when there is none."""
    after: dict[str, list[str]] = {}
    for links in network.links.values():
        for link in links:
            after.setdefault(link.from_edge, []).append(link.to_edge)
    paths: deque[tuple[str, ...]] = deque([(origin,)])
    seen = {origin}
    while paths:
        path = paths.popleft()
        if path[-1] == destination:
            return path
        for edge in after.get(path[-1], ()):
            if edge not in seen:
                seen.add(edge)
                paths.append((*path, edge))
    return ()
