"""How our occupancy goes with the boxes of a model that has no part in it: for judging on pictures without a truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.traffic.index import IndexModel, Reading
from agent.traffic.occupied import footprint_rows
from agent.traffic.on_road import SIZES_M, OnRoad
from agent.traffic.things import things
from models.vision.detector import LABELS, Detection

ZONES = ("near", "middle", "far")
# A zone where the reference varies by less (from its 5th to its 95th percentile) says nothing.
VARIES_BY = 0.05
SMOOTHED_S = 1.0
# The reference may be less sure than a detector in service: it is asked what it sees at all.
_SURE = 0.25


@dataclass(frozen=True)
class ZoneFigures:
    """r: Pearson's correlation of our occupancy with the reference's; None where either does not vary. ours, theirs:
    means. varies_by: the reference's range from its 5th to its 95th percentile."""

    zone: str
    r: float | None
    ours: float
    theirs: float
    varies_by: float

    @property
    def counts(self) -> bool:
        return self.varies_by >= VARIES_BY


@dataclass
class Reference:
    """Gathers both, frame by frame; zones are thirds of the calibrated rectangle. Both are smoothed over a second."""

    model: IndexModel
    _series: list[NDArray[np.float64]] = field(default_factory=list)
    _at_ms: int | None = None

    def add(self, reading: Reading, detections: Sequence[Detection], mono_ms: int) -> None:
        occupancy = self.model.occupancy
        now = np.stack(
            [occupancy.by_third(rows).mean(axis=0) for rows in (reading.rows, self._rows(detections))]
        )  # ours and theirs x zones
        if self._series and self._at_ms is not None:
            share = 1 - math.exp(-max(0, mono_ms - self._at_ms) / 1000 / SMOOTHED_S)
            now = self._series[-1] + share * (now - self._series[-1])
        self._series.append(now)
        self._at_ms = mono_ms

    def figures(self) -> tuple[ZoneFigures, ...]:
        if not self._series:
            return ()
        series = np.stack(self._series)
        found = []
        for number, zone in enumerate(ZONES):
            ours, theirs = series[:, 0, number], series[:, 1, number]
            low, high = np.percentile(theirs, (5, 95))
            varies = min(ours.std(), theirs.std()) > 1e-6
            r = round(float(np.corrcoef(ours, theirs)[0, 1]), 4) if varies else None
            means = (round(float(one.mean()), 4) for one in (ours, theirs))
            found.append(ZoneFigures(zone, r, *means, round(float(high - low), 4)))
        return tuple(found)

    def _rows(self, detections: Sequence[Detection]) -> NDArray[np.float64]:
        """The footprints of what is found, (lanes, rows), each of its class's usual size."""
        calibration = self.model.calibration
        seen = [
            one
            for one in things(detections, calibration.picture, dict.fromkeys(LABELS, _SURE))
            if one.sure and not one.person
        ]
        labels = [max(one.scores, key=lambda label: one.scores[label]) for one in seen]
        hidden = [one.foot_hidden for one in seen]
        places = OnRoad(calibration).places([one.box for one in seen], labels, hidden)
        standing = [
            (place.x_m, place.y_m, SIZES_M[label])
            for place, label in zip(places, labels, strict=True)
            if place is not None
        ]
        return footprint_rows(standing, self.model.view, self.model.features.within)
