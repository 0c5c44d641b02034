"""What a camera above each approach would tell of a running simulation, and how much of it arrives.

`truth` is exact, at once and complete; `truth-in-view` is so too, for no more of the road than rendered cameras show.
`camera-like` sees 100 to 150 m (drawn for each camera), misses one vehicle in
twelve, adds one where there is none now and then, tells its uncertainty, is blind for spells of about ten seconds, and
is late by 300 ms. Each may also be lost and delayed on its way. It is a simulation of a camera's figures, not of a
camera: `camera` is that (sim_devices.sumo.watching).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import sqrt
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from edge_server.signals.sight import Sight, Vehicles
from protocol.ids import ApproachId
from sim_devices.sumo.net import Net
from sim_devices.sumo.reach import REACH_M, Stretch, stretches
from sim_devices.sumo.signals import Steered

Kind = Literal["truth", "truth-in-view", "camera-like", "camera"]

REACH_LEAST_M = 100.0
SEEN_SHARE = 0.92
GHOSTS = 0.05
COMPUTING_MS = 300
# A camera is blind one time in thirty.
BLIND_MEAN_S = 10.0
CLEAR_MEAN_S = 290.0


class Sensing:
    """Looks at every approach once a call; what it returns has arrived at the edge by then."""

    def __init__(
        self, net: Net, steered: tuple[Steered, ...], api: Any, kind: Kind, *, seed: int, loss: float, delay_ms: int,
        dead: frozenset[ApproachId] = frozenset(), in_view_m: Mapping[ApproachId, float] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """in_view_m: how far each approach is seen, for truth-in-view."""
        self._api = api
        self._exact = kind != "camera-like"
        self._random = np.random.default_rng((seed, 0xCA))
        self._loss = loss
        self._dead = dead
        self._late_ms = delay_ms + (0 if self._exact else COMPUTING_MS)
        self._blind_until_ms: dict[ApproachId, int] = {}
        self._under_way: deque[tuple[int, dict[ApproachId, Sight]]] = deque()
        self._looked_ms: int | None = None
        self._roads: dict[ApproachId, tuple[int, tuple[Stretch, ...]]] = {}
        for one in steered:
            for approach, lanes in one.stop_lanes.items():
                reach_m = in_view_m.get(approach, REACH_M)
                if not self._exact:
                    reach_m = float(self._random.uniform(REACH_LEAST_M, REACH_M))
                self._roads[approach] = (len(lanes), stretches(net, lanes, reach_m))

    def step(self, now_ms: int) -> None:
        """Between two looks there is nothing to see."""

    def look(self, now_ms: int) -> dict[ApproachId, Sight]:
        """Take a look everywhere; returns the newest sight of each approach that came in meanwhile."""
        taken: dict[ApproachId, Sight] = {}
        counts: dict[str, tuple[int, int]] = {}
        for approach, (lanes, road) in self._roads.items():
            if approach in self._dead or self._blind(approach, now_ms):
                continue
            if self._loss and self._random.random() < self._loss:
                continue
            taken[approach] = self._sight(lanes, road, counts, now_ms)
        self._looked_ms = now_ms
        if not self._late_ms:
            return taken
        self._under_way.append((now_ms + self._late_ms, taken))
        arrived: dict[ApproachId, Sight] = {}
        while self._under_way and self._under_way[0][0] <= now_ms:
            arrived.update(self._under_way.popleft()[1])
        return arrived

    def _blind(self, approach: ApproachId, now_ms: int) -> bool:
        if self._exact:
            return False
        if now_ms < self._blind_until_ms.get(approach, now_ms):
            return True
        gone_s = (now_ms - self._looked_ms) / 1000 if self._looked_ms is not None else 0.0
        if self._random.random() < gone_s / CLEAR_MEAN_S:
            self._blind_until_ms[approach] = now_ms + int(self._random.exponential(BLIND_MEAN_S) * 1000)
        return False

    def _sight(self, lanes: int, road: tuple[Stretch, ...], counts: dict[str, tuple[int, int]], now_ms: int) -> Sight:
        total = [0.0] * lanes
        standing = [0.0] * lanes
        for stretch in road:
            count, halted = self._count(stretch, counts)
            if count:
                for at, share in stretch.shares:
                    total[at] += count * share
                    standing[at] += halted * share
        if self._exact:
            return Sight(now_ms, tuple(Vehicles(n, 0.0, q) for n, q in zip(total, standing, strict=True)), now_ms)
        return Sight(now_ms, tuple(self._blurred(n, q) for n, q in zip(total, standing, strict=True)), now_ms)

    def _count(self, stretch: Stretch, counts: dict[str, tuple[int, int]]) -> tuple[int, int]:
        lane = self._api.lane
        if stretch.from_m <= 0.0:
            if stretch.lane not in counts:
                count = lane.getLastStepVehicleNumber(stretch.lane)
                counts[stretch.lane] = (count, lane.getLastStepHaltingNumber(stretch.lane) if count else 0)
            return counts[stretch.lane]
        position, speed = self._api.vehicle.getLanePosition, self._api.vehicle.getSpeed
        near = [one for one in lane.getLastStepVehicleIDs(stretch.lane) if position(one) >= stretch.from_m]
        return len(near), sum(speed(one) < 0.1 for one in near)

    def _blurred(self, count: float, standing: float) -> Vehicles:
        whole = int(count + self._random.random())
        seen = float(self._random.binomial(whole, SEEN_SHARE)) + float(self._random.random() < GHOSTS)
        deviation = sqrt(whole * (1 - SEEN_SHARE) + GHOSTS + 0.05)
        share = standing / count if count else 0.0
        return Vehicles(seen / SEEN_SHARE, deviation, min(seen / SEEN_SHARE, seen * share / SEEN_SHARE))
