"""A request, as far as planning goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """prompt_left: tokens of the prompt that are still to be computed; 0 once it speaks. context: tokens that its
    sequence holds. due_s: when its first token is to be there. gap_s: the longest time between two of its tokens.
    spoke_s: when its last token came. relegated: it will miss due_s, and no longer goes before others for it. All
    times on one monotonic clock."""

    name: int
    tenant: str
    arrived_s: float
    prompt_left: int
    context: int
    due_s: float
    gap_s: float
    spoke_s: float | None = None
    relegated: bool = False

    @property
    def speaks(self) -> bool:
        return self.prompt_left == 0

    def slack_s(self, now_s: float) -> float:
        """How long its next token may still take."""
        return self.gap_s if self.spoke_s is None else self.spoke_s + self.gap_s - now_s


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
