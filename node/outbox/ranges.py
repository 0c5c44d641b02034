"""Sets of sequence numbers, kept as ranges."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

Range = tuple[int, int]


class SeqRanges:
    """A set of integers as sorted, separate, inclusive ranges."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __len__(self) -> int:
        """How many ranges, not how many numbers."""
        return len(self._firsts)

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def add(self, first: int, last: int) -> None:
        """Add first..last, melting what it touches."""
        begin = end = bisect_left(self._lasts, first - 1)
        while end < len(self._firsts) and self._firsts[end] <= last + 1:
            end += 1
        if end > begin:
            first = min(first, self._firsts[begin])
            last = max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]

    def ranges(self) -> tuple[Range, ...]:
        return tuple(zip(self._firsts, self._lasts, strict=True))

    def take(self, count: int) -> tuple[Range, ...]:
        """Remove and return the lowest `count` ranges."""
        taken = self.ranges()[:count]
        del self._firsts[:count], self._lasts[:count]
        return taken
