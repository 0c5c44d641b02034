"""A request, as far as planning goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Of what it may still say, as much is counted on: most answers end by themselves.
USUAL_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Request:
    """prompt_left: tokens of the prompt that are still to be computed; 0 once it speaks. context: tokens that its
    sequence holds. due_s: when its first token is to be there. gap_s: the longest time between two of its tokens.
    pace_s: the longest mean of it. first_s, spoke_s: when its first and its last token came. said: how many have come;
    may_say: how many still may. relegated: it will miss due_s, and no longer goes before others for it. All times on
    one monotonic clock."""

    name: int
    tenant: str
    arrived_s: float
    prompt_left: int
    context: int
    due_s: float
    gap_s: float
    spoke_s: float | None = None
    relegated: bool = False
    pace_s: float = math.inf
    first_s: float | None = None
    said: int = 0
    may_say: int = 0

    @property
    def speaks(self) -> bool:
        return self.prompt_left == 0

    def slack_s(self, now_s: float) -> float:
        """How long its next token may still take, for the gap before it."""
        return self.gap_s if self.spoke_s is None else self.spoke_s + self.gap_s - now_s

    def pace_slack_s(self, now_s: float) -> float:
        """How long its next token may still take, for the mean of all gaps: what was said sooner counts."""
        return math.inf if self.first_s is None else self.first_s + self.pace_s * self.said - now_s

    def keeps_pace(self, now_s: float, step_s: float) -> bool:
        """Whether its mean can still be kept, with a token each `step_s` from now on."""
        if self.first_s is None or math.isinf(self.pace_s):
            return True
        left = max(1, min(self.may_say, USUAL_TOKENS))
        return now_s + left * step_s <= self.first_s + self.pace_s * (self.said - 1 + left)


@dataclass(frozen=True)
class Share:
    """rows of a request in the next step: 1 of one that speaks, else a piece of its prompt."""

    name: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """shares: those that speak first. budget: the most rows that the step was allowed. relegated: requests that were
    found to miss their time to the first token. expected_s: what the step should take."""

    shares: tuple[Share, ...]
    budget: int
    expected_s: float
    relegated: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.shares)
