"""What a link does to what crosses it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

# up: as the other figures say. refused: connections are reset, and new ones refused. black-hole: connections stay, and
# nothing crosses them, as when a cable is pulled.
Cut = Literal["up", "refused", "black-hole"]
CUTS: tuple[Cut, ...] = get_args(Cut)


@dataclass(frozen=True)
class LinkState:
    """delay_ms and jitter_ms: each chunk waits delay +- jitter, and never overtakes another. stall_share: this share of
    the chunks waits stall_ms longer, which is what a lost segment looks like above TCP (a retransmission time-out);
    reset_share: this share ends the connection instead. bytes_per_s: 0 is unlimited, else per direction."""

    cut: Cut = "up"
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    stall_share: float = 0.0
    stall_ms: float = 300.0
    reset_share: float = 0.0
    bytes_per_s: float = 0.0

    def __post_init__(self) -> None:
        if self.cut not in CUTS:
            raise ValueError(f"cut must be one of {', '.join(CUTS)}")
        if min(self.delay_ms, self.jitter_ms, self.stall_ms, self.bytes_per_s) < 0:
            raise ValueError("times and rates can't be negative")
        if not (0 <= self.stall_share <= 1 and 0 <= self.reset_share <= 1):
            raise ValueError("shares lie between 0 and 1")

    def sending_s(self, size_bytes: int) -> float:
        """How long a chunk occupies the link."""
        return size_bytes / self.bytes_per_s if self.bytes_per_s else 0.0

    def waiting_s(self, random: Random) -> float | None:
        """How long a chunk is under way after that, or None when it ends the connection."""
        if self.reset_share and random.random() < self.reset_share:
            return None
        wait_ms = self.delay_ms + random.uniform(-self.jitter_ms, self.jitter_ms)
        if self.stall_share and random.random() < self.stall_share:
            wait_ms += self.stall_ms
        return max(0.0, wait_ms / 1000)
