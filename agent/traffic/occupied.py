"""How much of each lane stands under vehicles, with its 90 % interval: from edges, from tracks, and from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import ROW_M, BirdsEye
from agent.traffic.on_road import SIZES_M
from agent.traffic.track import Track
from models.occupancy.network import Network, Planes

THIRDS = 3
# The 90 % interval of a normal distribution reaches 1.645 standard deviations to each side.
_Z90 = 1.645


class Trust(NamedTuple):
    """How far what tracks say of a lane's third may be off, as a standard deviation in shares of road: floor, and for
    each share of it that is occupied; missed: for each share that edges show and tracks don't. What a detector finds is
    there, but what it doesn't find may be there all the same."""

    floor: float
    per_occupancy: float
    missed: float


# benchmarks.eval.index_fusion on 18 rendered roads finds 0.027, 0.088 and 1.1, and costs as much with these, which read
# a standing queue less short: there tracks miss what others hide.
TRUST = Trust(0.035, 0.085, 1.2)


@dataclass(frozen=True)
class Occupied:
    """Shares of road, 0..1: of the whole approach, and of each lane (lanes,); below, above: how far the 90 % interval
    reaches. rows: (lanes, rows) share of each cell. standing: that of vehicles that stand. vehicles: their number in
    each lane."""

    whole: tuple[float, float, float]
    lanes: NDArray[np.float64]
    below: NDArray[np.float64]
    above: NDArray[np.float64]
    rows: NDArray[np.float64]
    standing: NDArray[np.float64]
    vehicles: NDArray[np.float64]


class Occupancy:
    """One calibration's estimate."""

    def __init__(self, view: BirdsEye, within: NDArray[np.float32], network: Network) -> None:
        self.view = view
        self.network = network
        self.within = within.astype(np.float64)
        begins, total = np.cumsum(self.within) - self.within, self.within.sum()
        self._thirds = np.stack(
            [
                np.clip(
                    np.minimum(begins + self.within, total * (k + 1) / THIRDS) - np.maximum(begins, total * k / THIRDS),
                    0.0,
                    None,
                )
                for k in range(THIRDS)
            ]
        )
        self._area = total

    def from_edges(self, planes: Planes) -> tuple[Occupied, NDArray[np.float64]]:
        """And the standard deviation of each lane's thirds (lanes, thirds)."""
        maps = self.network.maps(planes)
        lanes = len(maps.footprint)
        rows = maps.footprint.astype(np.float64) * self.within
        lane = rows.sum(axis=1) / self._area
        hidden = np.einsum("clr,r->lc", maps.hidden, self.within) / self._area
        thirds = self.by_third(rows)
        third_hidden = np.einsum("clr,kr->lkc", maps.hidden, self._thirds) / (self._area / THIRDS)
        below, above = self.network.spread("lane", hidden, lane, lanes)
        low, high = self.network.spread("whole", hidden.mean(axis=0, keepdims=True), lane[None].mean(axis=1), lanes)
        flat = third_hidden.reshape(-1, third_hidden.shape[2])
        sides = self.network.spread("third", flat, thirds.reshape(-1), lanes)
        deviation = ((sides[0] + sides[1]) / (2 * _Z90)).reshape(thirds.shape)
        inside = self.within > 0
        found = Occupied(
            (float(lane.mean()), float(low[0]), float(high[0])),
            lane,
            below.astype(np.float64),
            above.astype(np.float64),
            rows,
            maps.standing * self.within,
            (maps.vehicles * inside).sum(axis=1),
        )
        return found, deviation

    def from_tracks(self, tracks: Sequence[Track]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cells under the footprints of what is tracked, and each lane's vehicles."""
        lanes, lane_m = self.view.calibration.lanes, self.view.calibration.road_width_m / self.view.calibration.lanes
        placed = [
            (*one.ground, SIZES_M[one.label]) for one in tracks if one.ground is not None and one.label != "person"
        ]
        count = np.zeros(lanes)
        for x, y, (length, _, _) in placed:
            if 0 <= x < lanes * lane_m and 0 <= y + length / 2 < self.view.calibration.visible_length_m:
                count[int(x // lane_m)] += 1
        return footprint_rows(placed, self.view, self.within), count

    def fused(self, edges: Occupied, deviation: NDArray[np.float64], tracks: Sequence[Track]) -> Occupied:
        """Both, weighted by the inverse of their variance in each third of each lane."""
        seen, count = self.from_tracks(tracks)
        by_edges, by_tracks = self.by_third(edges.rows), self.by_third(seen)
        thirds, share, variance = weighed(by_edges, deviation, by_tracks)
        narrower = np.sqrt(variance.sum(axis=1) / (deviation**2).sum(axis=1))
        whole = float(np.sqrt(variance.sum() / (deviation**2).sum()))
        lane = thirds.mean(axis=1)
        weight = share @ (self._thirds / np.maximum(self.within, 1e-9))
        rows = edges.rows + weight * (seen - edges.rows)
        counted = share.mean(axis=1)
        return Occupied(
            (float(lane.mean()), edges.whole[1] * whole, edges.whole[2] * whole),
            lane,
            edges.below * narrower,
            edges.above * narrower,
            rows,
            edges.standing * np.where(edges.rows > 1e-6, rows / np.maximum(edges.rows, 1e-6), 1.0).clip(0, 2),
            edges.vehicles + counted * (count - edges.vehicles),
        )

    def by_third(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(lanes, thirds): the share of each lane's third, the near one first, from (lanes, rows)."""
        share = self._thirds / np.maximum(self.within, 1e-9)
        found: NDArray[np.float64] = rows @ share.T / (self._area / THIRDS)
        return found


def weighed(
    edges: NDArray[np.float64], deviation: NDArray[np.float64], tracks: NDArray[np.float64], trust: Trust = TRUST
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of thirds, in any shape: both estimates weighted by the inverse of their variance; the share that tracks have in
    that; and its variance. deviation: the standard deviation of edges."""
    # What neither source sees is judged by the larger of the two.
    theirs = trust.floor + trust.per_occupancy * np.maximum(edges, tracks)
    theirs = np.hypot(theirs, trust.missed * np.maximum(0.0, edges - tracks))
    both = deviation**2 + theirs**2
    share = deviation**2 / both
    # Sources that disagree by more than they claim are both less sure than they claim (Birge 1932).
    strain = np.maximum(1.0, (edges - tracks) ** 2 / both)
    return edges + share * (tracks - edges), share, deviation**2 * (1 - share) * strain


def footprint_rows(
    placed: Sequence[tuple[float, float, tuple[float, float, float]]], view: BirdsEye, within: NDArray[Any]
) -> NDArray[np.float64]:
    """The share of each cell (lanes, rows) under vehicles: x and y of the middle of their near end, and their length,
    width and height. Where two overlap, the road counts once."""
    lanes, near_m = view.calibration.lanes, view.rows.near_m
    lane_m = view.calibration.road_width_m / lanes
    left = np.arange(lanes)[:, None] * lane_m
    rows = np.zeros((lanes, len(near_m)))
    for x, y, (length, width, _) in placed:
        across = np.clip(np.minimum(left + lane_m, x + width / 2) - np.maximum(left, x - width / 2), 0, None) / lane_m
        along = np.clip(np.minimum(near_m + ROW_M, y + length) - np.maximum(near_m, y), 0, ROW_M) / ROW_M
        rows = np.maximum(rows, across * along)
    covered: NDArray[np.float64] = rows * within
    return covered
