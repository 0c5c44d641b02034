"""A model of the queues at an intersection: a point queue on each lane (vertical queue; Daganzo 1997, chapter 2).

Whoever comes into sight is at the stop line after the visible length at the speed limit, and waits there until the lane
is green; a green lane passes SATURATION_PER_S vehicles a second, after STARTUP_LOST_S. It knows no other road: what its
exits can't take, and what another signal would send otherwise, it leaves out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from edge_server.signals.layout import ApproachLayout, LaneLayout
from edge_server.signals.service_model import SATURATION_PER_S, STARTUP_LOST_S
from edge_server.signals.sight import Sight
from protocol.ids import PhaseId

# A lane that has shown nothing usable for so long is begun anew with what is seen next.
LOST_MS = 10_000

# Vehicles are whole: fractions that trickle would keep a controller busy that serves who is there.
ROUNDING = 1e-6

# For how long a phase has been green, in seconds; None while it is not.
GreenFor = Callable[[PhaseId], float | None]


class LaneQueue:
    """waiting: vehicles at the stop line. coming: those in sight that are not there yet, by when they will be."""

    def __init__(self, lane: LaneLayout, waiting: float = 0.0) -> None:
        self._lane = lane
        self.waiting = waiting
        self._coming: deque[tuple[int, float]] = deque()
        self._credit = 1.0

    @property
    def in_sight(self) -> float:
        return self.waiting + sum(vehicles for _, vehicles in self._coming)

    def arrive(self, vehicles: float, now_ms: int) -> None:
        if vehicles > 0.0:
            self._coming.append((now_ms + round(self._lane.travel_s * 1000), vehicles))

    def flow(self, green_for: GreenFor) -> float:
        """Vehicles a second that may pass now."""
        phases = self._lane.phases
        running = [s for one in phases if (s := green_for(one)) is not None and s >= STARTUP_LOST_S]
        return SATURATION_PER_S * len(running) / len(phases) if phases else 0.0

    def advance(self, dt_s: float, flow: float, now_ms: int) -> float:
        """How many pass."""
        while self._coming and self._coming[0][0] <= now_ms:
            self.waiting += self._coming.popleft()[1]
        if flow <= 0.0:
            self._credit = 1.0  # the first one is ready
            return 0.0
        passed = float(math.floor(min(self.waiting, self._credit) + ROUNDING))
        self.waiting -= passed
        # Nobody saves up green for later.
        self._credit = min(self._credit - passed + flow * dt_s, max(1.0, flow * dt_s))
        return passed


class Arrivals:
    """How many vehicles come into sight on the lanes of one approach, from what is seen of it.

    While a lane is red, by how many more there are; while its queue passes, those that passed besides; on a green lane
    without a queue, what is there leaves within its travel time (Little 1961)."""

    def __init__(self, approach: ApproachLayout) -> None:
        self._approach = approach
        self._seen: tuple[float, ...] = ()
        self._seen_ms = 0
        self._owed = [0.0] * len(approach.lanes)

    def is_lost(self, sight: Sight, now_ms: int) -> bool:
        return not sight.lanes or now_ms - sight.seen_ms > LOST_MS

    def begin(self, sight: Sight) -> None:
        self._seen, self._seen_ms = tuple(one.mean for one in sight.lanes), sight.seen_ms
        self._owed = [0.0] * len(self._approach.lanes)

    def take(self, sight: Sight, passed: list[float], free: list[bool], dt_s: float) -> list[float]:
        """passed: on each lane since the last call; free: green and without a queue."""
        news = sight.seen_ms != self._seen_ms and len(self._seen) == len(sight.lanes)
        found = []
        for at, lane in enumerate(self._approach.lanes):
            seen = sight.lanes[at].mean
            if free[at]:
                self._owed[at] += seen / lane.travel_s * dt_s
            else:
                self._owed[at] += passed[at] + (seen - self._seen[at] if news else 0.0)
            # What was miscounted once is made good by who comes next: less than nobody never comes.
            coming = float(max(0, math.floor(self._owed[at] + ROUNDING))) if news or free[at] else 0.0
            self._owed[at] -= coming
            found.append(coming)
        if news:
            self._seen, self._seen_ms = tuple(one.mean for one in sight.lanes), sight.seen_ms
        return found
