"""Whether observations are being shed, as a person should hear of it: raised at once, over once it was calm. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

# Shedding comes in bursts; an alarm that came and went with each would tell nobody anything.
CALM_MS = 30_000


@dataclass(frozen=True)
class SheddingWatch:
    """shed: the count at the last look. last_ms: when it last rose, on the monotonic clock. active: it is told."""

    shed: int = 0
    last_ms: int = 0
    active: bool = False

    def look(self, shed: int, now_ms: int) -> SheddingWatch:
        if shed > self.shed:
            return SheddingWatch(shed, now_ms, active=True)
        return replace(self, active=self.active and now_ms - self.last_ms < CALM_MS)
