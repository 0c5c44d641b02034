"""What comes back on a question: steps on the way, pieces of the answer, and at last the whole with its receipt."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from models.assistant.summary import TooLong
from models.assistant.tools import Value

Tier = Literal["device", "edge", "cloud"]
TIERS: tuple[Tier, ...] = ("device", "edge", "cloud")


class Policy(Struct, frozen=True, kw_only=True):
    """max_tier: the highest that may see the question. share_notes: whether one about notes may leave this machine.
    too_long: what is done with a question that does not fit."""

    max_tier: Tier = "device"
    share_notes: bool = False
    too_long: TooLong = "refuse"

    def allows(self, tier: Tier) -> bool:
        return TIERS.index(tier) <= TIERS.index(self.max_tier)


class Step(Struct, frozen=True, kw_only=True, tag="step"):
    """What is being done now: `understanding`, a tool's name, or a tier's."""

    step: str


class Piece(Struct, frozen=True, kw_only=True, tag="piece"):
    text: str


class Reply(Struct, frozen=True, kw_only=True, tag="reply"):
    """The whole answer, and its receipt: tier that answered, why that one, what it took. code: of what went wrong, ""
    for nothing. asks: whether a yes or a no is waited for. confidence: of the choice of tool and arguments, None where
    nothing was to be understood."""

    answer: str
    tier: Tier
    why: str
    seconds: float
    bytes_sent: int
    tool: str
    arguments: dict[str, Value] = {}
    confidence: float | None = None
    code: str = ""
    asks: bool = False


class Fault(Struct, frozen=True, kw_only=True, tag="fault"):
    """What is sent in place of a reply where a question could not be answered at all."""

    code: str
    cause: str
    advice: str = ""


Said = Step | Piece | Reply
