"""How many of those who speak are computed in one call of the library.

Together is not always faster. Where matrices are multiplied by four rows at a time, as llama.cpp does with repacked
weights, the rest goes row by row, and two or three answers may take longer together than one after the other: 42 ms in
place of 33, and 60 in place of 50, where one takes 17, four 52 and eight 66 (docs/decisions/0023). What a call of so
many takes is learnt while it runs, and those who speak are divided so that all of it takes the least.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Of each size, the last times.
KEPT = 3
# Several calls in place of one have to spare so much: a moment's measurement is no more exact.
SPARED = 0.95
# A size that was not used for so many calls is tried again: what is held grows, and machines change.
FORGOTTEN_CALLS = 256
# So few are tried one by one where it is not known what one alone takes.
FEW = 3


@dataclass(frozen=True)
class Calls:
    """seconds: what the last calls of each size took. last: the number of the call at which each was seen, of
    `number`."""

    seconds: Mapping[int, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    last: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    number: int = 0

    def learnt(self, size: int, seconds: float) -> Calls:
        """With one call more."""
        before = () if self._is_forgotten(size) else self.seconds[size]
        number = self.number + 1
        return Calls({**self.seconds, size: (*before, seconds)[-KEPT:]}, {**self.last, size: number}, number)

    def sizes(self, count: int) -> tuple[int, ...]:
        """How many go into each call, the most first. All of them where that is not known to take longer. What is not
        known is tried."""
        if self._is_forgotten(count):
            return (count,)
        if self._is_forgotten(1) and count <= FEW:
            return (1,) * count
        known = {size: self._takes_s(size) for size in range(1, count) if not self._is_forgotten(size)}
        best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        for whole in range(1, count + 1):
            ways = [
                (best[whole - size][0] + took_s, (*best[whole - size][1], size))
                for size, took_s in known.items()
                if size <= whole
            ]
            best.append(min(ways, default=(float("inf"), ())))
        seconds, sizes = best[count]
        return tuple(sorted(sizes, reverse=True)) if seconds < SPARED * self._takes_s(count) else (count,)

    def _takes_s(self, size: int) -> float:
        return statistics.median(self.seconds[size])

    def _is_forgotten(self, size: int) -> bool:
        return size not in self.last or self.number - self.last[size] >= FORGOTTEN_CALLS
