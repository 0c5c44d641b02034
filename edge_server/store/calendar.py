"""Which day it is for forgetting. A clock that is suddenly ahead (a dead battery, a wrong time server) must not make
the store forget everything at once: the old count goes on for a day, in which somebody can put the clock right. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import Struct

HOUR_MS = 3_600_000
JUMP_MS = 6 * HOUR_MS
GRACE_MS = 24 * HOUR_MS


class Doubt(Struct, frozen=True):
    """ahead_ms: by how much the clock is not believed; 0 for not at all. until_ms: by that clock, when it is."""

    ahead_ms: int = 0
    until_ms: int = 0


BELIEVED = Doubt()


@dataclass(frozen=True)
class Calendar:
    """wall_ms, mono_ms: of the last look. At a start wall_ms is that of the newest row, and mono_ms the present: a
    server that was off for long is ahead of its store as one with a wrong clock is, and waits a day as well."""

    wall_ms: int
    mono_ms: int
    doubt: Doubt = BELIEVED

    def look(self, wall_ms: int, mono_ms: int) -> Calendar:
        jump_ms = (wall_ms - self.wall_ms) - (mono_ms - self.mono_ms)
        doubt = self.doubt
        if jump_ms > JUMP_MS:
            doubt = Doubt(doubt.ahead_ms + jump_ms, wall_ms + GRACE_MS)
        elif doubt.ahead_ms and jump_ms < 0:
            ahead_ms = doubt.ahead_ms + jump_ms
            # Put right, give or take what is no jump.
            doubt = Doubt(ahead_ms, doubt.until_ms) if ahead_ms > JUMP_MS else BELIEVED
        if doubt.ahead_ms and wall_ms >= doubt.until_ms:
            doubt = BELIEVED
        return replace(self, wall_ms=wall_ms, mono_ms=mono_ms, doubt=doubt)

    def was_put_right(self, before: Calendar) -> bool:
        """Whether what was doubted before has been taken back, and not just come to be believed."""
        return bool(before.doubt.ahead_ms and not self.doubt.ahead_ms and self.wall_ms < before.wall_ms)

    @property
    def believed_ms(self) -> int:
        """The time by which rows are old."""
        return self.wall_ms - self.doubt.ahead_ms
