"""What was measured on the way, and remembered for the next round and the next answer. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from models.escalation.cost import Link, Upper
from models.escalation.pace import Pace

# Before anything was seen: as if so many drafted tokens had been tried, and this share of them accepted.
PRIOR, PRIOR_WEIGHT = 0.7, 4.0
KEPT = 0.95


@dataclass(frozen=True)
class Measured:
    """draft_s: of a drafted token. accepted, tried: drafted tokens, older ones weighing less."""

    wire: Pace = field(default_factory=Pace)
    steps: Pace = field(default_factory=Pace)
    drafts: Pace = field(default_factory=Pace)
    accepted: float = PRIOR * PRIOR_WEIGHT
    tried: float = PRIOR_WEIGHT

    @property
    def acceptance(self) -> float:
        return min(0.999, self.accepted / self.tried)

    @property
    def link(self) -> Link:
        return Link(self.wire.step_s, self.wire.row_s)

    @property
    def upper(self) -> Upper:
        return Upper(self.steps.step_s, self.steps.row_s)

    @property
    def draft_s(self) -> float:
        return self.drafts.step_s

    def opened(self, seconds: float, size_bytes: int, step_s: float, row_s: float) -> Measured:
        """What the upper tier says of itself stands until we have seen it."""
        steps = self.steps
        if not steps.weight and step_s > 0:
            steps = steps.seen(1, step_s).seen(2, step_s + row_s)
        return replace(self, wire=self.wire.seen(size_bytes + 1, seconds), steps=steps)

    def round(self, seconds: float, size_bytes: int, rows: int, upper_s: float) -> Measured:
        wire = self.wire.seen(size_bytes + 1, max(0.0, seconds - upper_s))
        return replace(self, wire=wire, steps=self.steps.seen(rows, upper_s))

    def verdict(self, drafted: int, accepted: int) -> Measured:
        """A draft tells about its tokens up to the first that was not accepted."""
        tried = min(drafted, accepted + 1)
        return replace(
            self,
            accepted=KEPT**tried * self.accepted + accepted,
            tried=KEPT**tried * self.tried + tried,
        )

    def drafted(self, tokens: int, seconds: float) -> Measured:
        return self if not tokens or seconds <= 0 else replace(self, drafts=self.drafts.seen(1, seconds / tokens))
