"""What the empty road looks like, learnt while traffic passes.

Each cell of the profile keeps a histogram of its edge strength over the last half hour. The empty road returns to the
same value again and again, vehicles scatter; so the mode, weighted towards flat asphalt, is the empty road. A queue
would have to stand for longer than everything else that the cell has seen before it became the mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import Profile

BIN_STRENGTH = 4.0
BINS = 16
HALF_LIFE_S = 1200.0
# Strength at which asphalt is e times less likely a priori: most of a road is flat, paint and shadows are not.
_ASPHALT_SCALE = 25.0
# Below this, what is seen can be nothing but road; a vehicle has an edge somewhere.
ASPHALT_MOST = 12.0
_ASPHALT_EVIDENCE_S = 2.0
_RETURN_EVIDENCE_S = 20.0
_STILL_EVIDENCE_S = 600.0
_PAINT_STEP = 6.0
_COVERED_WEIGHT = 0.1
_LANE_SHARE_KNOWN = 0.6
_SOME_SHARE_KNOWN = 0.25

_CENTRES = (np.arange(BINS) + 0.5) * BIN_STRENGTH
_PRIOR = np.exp(-_CENTRES / _ASPHALT_SCALE).astype(np.float32)


@dataclass(frozen=True)
class EmptyRoad:
    """seconds: strips x rows x bins, how long each cell has shown each strength, older time fading.

    Values are never changed in place: `seen` returns the next one.
    """

    seconds: NDArray[np.float32]

    @classmethod
    def unknown(cls, strips: int, rows: int) -> EmptyRoad:
        return cls(np.zeros((strips, rows, BINS), np.float32))

    def seen(self, profile: Profile, elapsed_s: float, covered: NDArray[np.bool_] | None = None) -> EmptyRoad:
        """After elapsed_s more with this profile in view. covered: cells that hold a vehicle by all that is known;
        they hardly count, so that a queue that stands for minutes is not learnt, yet a lasting change is in the end."""
        seconds = self.seconds * np.float32(0.5 ** (elapsed_s / HALF_LIFE_S))
        weight = np.full(profile.shape, elapsed_s, np.float32)
        if covered is not None:
            weight[covered & self.known()] *= _COVERED_WEIGHT
        bins = np.minimum((profile / BIN_STRENGTH).astype(int), BINS - 1)
        # Half of the weight goes to the nearer neighbour, so that a value on a border between bins counts as one.
        lanes, rows = np.ogrid[: profile.shape[0], : profile.shape[1]]
        offset = np.where(profile / BIN_STRENGTH - bins > 0.5, 1, -1)
        neighbours = np.clip(bins + offset, 0, BINS - 1)
        seconds[lanes, rows, bins] += 0.75 * weight
        seconds[lanes, rows, neighbours] += 0.25 * weight
        return EmptyRoad(seconds)

    def strength(self) -> Profile:
        """The empty road's edge strength; a cell that is not known yet is taken for asphalt."""
        mode, known = self._mode()
        value = _CENTRES[mode].astype(np.float32)
        # Between the bins: the centre of mass of the mode and its neighbours.
        around = [np.clip(mode + step, 0, BINS - 1) for step in (-1, 0, 1)]
        mass = np.stack([np.take_along_axis(self.seconds, one[..., None], 2)[..., 0] for one in around])
        centres = np.stack([_CENTRES[one] for one in around])
        total = mass.sum(axis=0)
        value = np.where(total > 0, (mass * centres).sum(axis=0) / np.maximum(total, 1e-6), value)
        asphalt = float(np.median(value[known])) if known.any() else BIN_STRENGTH
        return np.where(known, value, min(asphalt, ASPHALT_MOST)).astype(np.float32)

    def known(self) -> NDArray[np.bool_]:
        """Which cells have shown the empty road: flat asphalt for a while, or a value that came back."""
        return self._mode()[1]

    def _mode(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        mode = (self.seconds * _PRIOR).argmax(axis=2)
        total = self.seconds.sum(axis=2)
        around = [np.clip(mode + step, 0, BINS - 1)[..., None] for step in (-1, 0, 1)]
        held = np.sum([np.take_along_axis(self.seconds, one, 2)[..., 0] for one in around], axis=0)
        flat = (_CENTRES[mode] < ASPHALT_MOST) & (held >= _ASPHALT_EVIDENCE_S)
        returned = (total >= _RETURN_EVIDENCE_S) & (held >= 0.3 * total) & (held <= 0.97 * total)
        # Nothing but the road itself stays exactly the same for so long.
        still = held >= _STILL_EVIDENCE_S
        known = flat | returned | still
        # Paint runs along the road: a cell that looks much like the known ones before and behind it is road too.
        strength, rows = _CENTRES[mode], np.arange(mode.shape[1])
        for lane in np.flatnonzero(known.any(axis=1)):
            expected = np.interp(rows, rows[known[lane]], strength[lane, known[lane]])
            known[lane] |= (held[lane] >= _ASPHALT_EVIDENCE_S) & (strength[lane] - expected <= _PAINT_STEP)
        return mode, known


def is_known(share: NDArray[np.float64]) -> bool:
    """Enough of every lane has been seen empty. share: of each lane's cells in the picture, how many are known."""
    return bool(len(share)) and bool((share >= _LANE_SHARE_KNOWN).all())


def is_partly_known(share: NDArray[np.float64]) -> bool:
    """Some of the road has been seen empty: its asphalt may stand for the rest, with a wide interval."""
    return bool(len(share)) and float(share.mean()) >= _SOME_SHARE_KNOWN
