"""The road that a camera watches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Road:
    """Lanes of the approach from the kerb to the centre line, then those of the other direction, as widths in metres.

    The calibrated rectangle is width_m (the approach's own lanes) by visible_length_m, beginning at the stop line.
    lane_marks: whether lanes and stop line are painted. arrows: for each own lane its turns out of `l`, `s` and `r`.
    asphalt: its mean grey, 0..255 in full light. repairs: patches of newer asphalt.
    """

    lane_widths_m: tuple[float, ...] = (3.3, 3.3, 3.3)
    visible_length_m: float = 60.0
    opposite_widths_m: tuple[float, ...] = (3.3, 3.3)
    lane_marks: bool = True
    arrows: tuple[str, ...] = ()
    asphalt: float = 98.0
    repairs: int = 5

    @property
    def width_m(self) -> float:
        return sum(self.lane_widths_m)

    @property
    def area_m2(self) -> float:
        return self.width_m * self.visible_length_m

    def lane_bounds(self) -> tuple[tuple[float, float], ...]:
        """From and to (metres from the kerb) of each of the approach's lanes."""
        edges = [0.0]
        for width in self.lane_widths_m:
            edges.append(edges[-1] + width)
        return tuple(pairwise(edges))

    def lane_centre_m(self, lane: int) -> float:
        low, high = self.lane_bounds()[lane]
        return (low + high) / 2
