"""What a controller believes of the road, against what is there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from edge_server.signals.sight import Sight
from protocol.ids import ApproachId
from sim_devices.sumo.sensing import Sensing


class BeliefFigures(Struct, frozen=True, kw_only=True):
    """Vehicles on one lane in view: believed less true. told: share of looks at an approach that told something."""

    told: float
    vehicles: float
    vehicles_bias: float
    vehicles_mae: float
    standing: float
    standing_bias: float
    standing_mae: float


class Belief:
    """truth: exact, for what is in view."""

    def __init__(self, truth: Sensing) -> None:
        self._truth = truth
        self._rows: list[tuple[float, float, float, float]] = []
        self._asked = self._told = 0

    def note(self, sights: Mapping[ApproachId, Sight], now_ms: int) -> None:
        for approach, true in self._truth.look(now_ms).items():
            self._asked += 1
            self._told += bool(sights[approach].lanes)
            for ours, theirs in zip(sights[approach].lanes, true.lanes, strict=False):
                self._rows.append((ours.mean, theirs.mean, ours.standing or 0.0, theirs.standing or 0.0))

    def figures(self) -> BeliefFigures | None:
        if not self._rows:
            return None
        every = np.array(self._rows)
        off, stands_off = every[:, 0] - every[:, 1], every[:, 2] - every[:, 3]
        return BeliefFigures(
            told=round(self._told / self._asked, 4),
            vehicles=round(float(every[:, 1].mean()), 3),
            vehicles_bias=round(float(off.mean()), 3),
            vehicles_mae=round(float(np.abs(off).mean()), 3),
            standing=round(float(every[:, 3].mean()), 3),
            standing_bias=round(float(stands_off.mean()), 3),
            standing_mae=round(float(np.abs(stands_off).mean()), 3),
        )
