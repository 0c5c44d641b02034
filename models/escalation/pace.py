"""How fast a wire, a draft or a step elsewhere is, from what it took: seconds = step + row x (rows - 1), forgetting
slowly. A machine's own steps, whose contexts are known, are fitted by models/serving/planning/step_time.py."""

from __future__ import annotations

from dataclasses import dataclass

KEPT = 0.9


@dataclass(frozen=True)
class Pace:
    """Sums of a straight line's least squares through (rows - 1, seconds), older steps weighing less and less."""

    weight: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def seen(self, rows: int, seconds: float) -> Pace:
        x = rows - 1
        return Pace(
            KEPT * self.weight + 1,
            KEPT * self.x + x,
            KEPT * self.y + seconds,
            KEPT * self.xx + x * x,
            KEPT * self.xy + x * seconds,
        )

    @property
    def row_s(self) -> float:
        """Of each row beyond the first. Where all steps had one size, a row more is taken to cost nothing."""
        spread = self.weight * self.xx - self.x * self.x
        if spread <= 1e-9 * max(1.0, self.weight * self.xx):
            return 0.0
        return max(0.0, (self.weight * self.xy - self.x * self.y) / spread)

    @property
    def step_s(self) -> float:
        if not self.weight:
            return 0.0
        mean_x, mean_y = self.x / self.weight, self.y / self.weight
        return max(mean_y - self.row_s * mean_x, 0.05 * mean_y)
