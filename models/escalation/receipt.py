"""What a request may cost, and what it did: policy before, receipt after."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from models.assistant.reply import TIERS, Tier

WayAsked = Literal["auto", "device", "question", "hidden", "draft"]
WAYS: tuple[WayAsked, ...] = ("auto", "device", "question", "hidden", "draft")
Kind = Literal["int8", "fp32"]


class Terms(Struct, frozen=True, kw_only=True):
    """max_tier: the highest that may see the question, in whatever form. way: auto takes the member's own answer where
    it is sure, else the fastest way up. deadline_s: the tier above is not waited for after that. budget_bytes: the most
    that may be sent up. kind: of hidden states on the wire."""

    max_tier: Tier = "device"
    way: WayAsked = "auto"
    deadline_s: Annotated[float, Meta(gt=0)] | None = None
    budget_bytes: Annotated[int, Meta(ge=0)] | None = None
    kind: Kind = "int8"

    def allows(self, tier: Tier) -> bool:
        return TIERS.index(tier) <= TIERS.index(self.max_tier)


STAYS = Terms()


class Receipt(Struct, frozen=True, kw_only=True):
    """tier: that answered, the lower one where several did. tiers: that computed for it, from below. tokens: by tier
    that chose them. why: of tier and way, in words. ended: as in OpenAI's protocol. code: of what went wrong on the
    way, "" for nothing. prompt_tokens, said_tokens: counted where the answer was made. rounds, drafted, accepted: of
    answers by several tiers. upper_rows: rows that the tiers above computed, each through upper_blocks blocks. rtt_ms:
    as measured with this answer."""

    tier: Tier
    way: WayAsked
    why: str
    ended: str
    seconds: float
    first_ms: float | None
    bytes_sent: int
    bytes_received: int
    tokens: dict[str, int]
    prompt_tokens: int
    said_tokens: int
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    upper_rows: int = 0
    upper_blocks: int = 0
    rtt_ms: float | None = None
    code: str = ""
    tiers: tuple[Tier, ...] = ()

    def told(self) -> dict[str, object]:
        found: dict[str, object] = msgspec.to_builtins(self)
        return found

    def headers(self) -> dict[str, str]:
        """For an answer over HTTP. What is not ASCII in the reason is left out: headers have no other letters."""
        return {
            "X-Kinflow-Tier": self.tier,
            "X-Kinflow-Way": self.way,
            "X-Kinflow-Why": self.why.encode("ascii", "ignore").decode()[:500],
            "X-Kinflow-Bytes-Sent": str(self.bytes_sent),
            "X-Kinflow-Seconds": f"{self.seconds:.3f}",
        }
