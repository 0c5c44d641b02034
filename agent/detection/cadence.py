"""Which pictures a detector looks at. The others are bridged by the tracker, and none is kept for later."""

from __future__ import annotations

from dataclasses import dataclass, replace

# How much the newest look weighs in what a look costs.
_NEWEST = 0.3


@dataclass(frozen=True)
class Cadence:
    """every: each n-th picture at most. share: of the time that looking may take on the one looking thread, 0..1; None
    looks at each n-th picture whatever it costs."""

    every: int = 1
    share: float | None = None


@dataclass(frozen=True)
class Paced:
    """pictures: that have come since the last look. began_ms, cost_ms: of the last look, and of looks as of late."""

    pictures: int = 0
    began_ms: int | None = None
    cost_ms: float = 0.0

    def due(self, cadence: Cadence, now_ms: int) -> bool:
        if self.began_ms is None:
            return True
        if self.pictures + 1 < cadence.every:
            return False
        return cadence.share is None or now_ms - self.began_ms >= self.cost_ms / cadence.share

    def skipped(self) -> Paced:
        return replace(self, pictures=self.pictures + 1)

    def looked(self, began_ms: int, took_ms: float) -> Paced:
        first = self.began_ms is None
        return Paced(0, began_ms, took_ms if first else self.cost_ms + _NEWEST * (took_ms - self.cost_ms))
