"""What ways of answering cost, and which one is taken: a pure model of figures that were measured.

A round with g drafted tokens takes T = g * t_d + RTT + bytes / bandwidth + t_v(g + 1) and gives, when each drafted
token is accepted with probability a, E = (1 - a^(g+1)) / (1 - a) tokens (Leviathan et al., 2023, eq. 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MOST_WINDOW = 16
WayName = Literal["device", "question", "hidden", "draft"]


@dataclass(frozen=True)
class Link:
    """rtt_s: there and back, with nothing computed. byte_s: of each byte, 0 for a link so fast that it doesn't show."""

    rtt_s: float
    byte_s: float = 0.0

    def seconds(self, size_bytes: float) -> float:
        return self.rtt_s + self.byte_s * size_bytes


@dataclass(frozen=True)
class Upper:
    """A step of the upper tier: step_s for one row, row_s for each more."""

    step_s: float
    row_s: float = 0.0

    def seconds(self, rows: float) -> float:
        return self.step_s + self.row_s * max(0.0, rows - 1)


@dataclass(frozen=True)
class Rounds:
    """A way that goes in rounds. draft_s: the lower tier's, a token. row_s: what the lower tier computes of each row
    whether it drafts or not. row_bytes, round_bytes: sent for each row, and with each round."""

    link: Link
    upper: Upper
    draft_s: float
    acceptance: float
    row_bytes: float
    round_bytes: float
    row_s: float = 0.0

    def round_s(self, window: int) -> float:
        size = self.round_bytes + self.row_bytes * (window + 1)
        return window * self.draft_s + self.row_s + self.link.seconds(size) + self.upper.seconds(window + 1)

    def rate(self, window: int) -> float:
        """Tokens a second."""
        return expected(self.acceptance, window) / self.round_s(window)

    def best_window(self, most: int = MOST_WINDOW) -> int:
        """The smallest of the best, so that nothing is drafted in vain."""
        return max(range(most + 1), key=lambda window: (self.rate(window), -window))

    def seconds(self, prompt: int, said: int, window: int) -> float:
        """All of an answer: its prompt goes up once, then rounds."""
        first = self.link.byte_s * self.row_bytes * prompt + self.upper.row_s * prompt
        return first + said / self.rate(window)

    def bytes_sent(self, prompt: int, said: int, window: int) -> float:
        each = (self.round_bytes + self.row_bytes * (window + 1)) / expected(self.acceptance, window)
        return self.row_bytes * prompt + said * each


@dataclass(frozen=True)
class Whole:
    """The whole question: the upper tier steps by itself, and what it says comes as it is said."""

    link: Link
    upper: Upper
    question_bytes: float

    def seconds(self, prompt: int, said: int) -> float:
        return self.link.seconds(self.question_bytes) + self.upper.seconds(prompt) + self.upper.step_s * (said - 1)


@dataclass(frozen=True)
class Choice:
    way: WayName
    why: str
    window: int = 0
    seconds: float = 0.0
    bytes_sent: float = 0.0


def expected(acceptance: float, window: int) -> float:
    """Tokens a round gives: those accepted, and one of the upper tier's own."""
    return float(sum(acceptance**place for place in range(window + 1)))


def choose(
    ways: Mapping[WayName, Whole | Rounds],
    prompt: int,
    said: int,
    *,
    left_s: float | None = None,
    budget_bytes: float | None = None,
) -> Choice:
    """The fastest of the ways that keep to deadline and budget; "device" where none does. said: tokens expected."""
    found: list[Choice] = []
    refused: list[str] = []
    for name, way in ways.items():
        if isinstance(way, Whole):
            choice = Choice(name, "", 0, way.seconds(prompt, said), way.question_bytes)
        else:
            window = way.best_window()
            choice = Choice(name, "", window, way.seconds(prompt, said, window), way.bytes_sent(prompt, said, window))
        if budget_bytes is not None and choice.bytes_sent > budget_bytes:
            refused.append(f"{name} would send {choice.bytes_sent:.0f} of {budget_bytes:.0f} bytes")
        elif left_s is not None and choice.seconds > left_s:
            refused.append(f"{name} would take {choice.seconds:.2f} of {left_s:.2f} s")
        else:
            found.append(choice)
    if not found:
        return Choice("device", "; ".join(refused) or "there is no way up")
    best = min(found, key=lambda one: one.seconds)
    told = ", ".join(f"{one.way} {one.seconds:.2f} s" for one in sorted(found, key=lambda one: one.seconds))
    return Choice(best.way, f"expected: {told}", best.window, best.seconds, best.bytes_sent)
