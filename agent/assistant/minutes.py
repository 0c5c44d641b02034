"""The index of each approach by the minute, of the last day: seven kilobytes an approach, and nothing on disk."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from models.assistant.world import Point
from protocol.ids import ApproachId
from protocol.units import CONGESTION_CLASSES, Congestion

KEPT_MINUTES = 1_440
_MINUTE_MS = 60_000
_NO_CLASS = 255


class _Ring:
    """A place for each minute of a day: its number, the sum and count of its figures, its last class."""

    def __init__(self) -> None:
        self.minutes = array("q", [-1]) * KEPT_MINUTES
        self.sums = array("f", [0.0]) * KEPT_MINUTES
        self.counts = array("H", [0]) * KEPT_MINUTES
        self.classes = bytearray([_NO_CLASS]) * KEPT_MINUTES


class Minutes:
    """Written by one thread, and read by any: a reader may miss the figure that is being added."""

    def __init__(self) -> None:
        self._rings: dict[ApproachId, _Ring] = {}

    def add(self, approach: ApproachId, at_ms: int, index: float | None, congestion: Congestion | None) -> None:
        """at_ms: a clock that goes forward. Beyond 65,535 figures a minute none is added."""
        ring = self._rings.setdefault(approach, _Ring())
        minute = at_ms // _MINUTE_MS
        place = minute % KEPT_MINUTES
        if ring.minutes[place] != minute:
            ring.sums[place], ring.counts[place], ring.classes[place] = 0.0, 0, _NO_CLASS
            ring.minutes[place] = minute
        if index is None or ring.counts[place] == 0xFFFF:
            return
        ring.sums[place] += index
        ring.counts[place] += 1
        ring.classes[place] = _NO_CLASS if congestion is None else CONGESTION_CLASSES.index(congestion)

    def last(self, approach: str, minutes: int, now_ms: int) -> Sequence[Point]:
        """The means of the last minutes, this one with them, oldest first; those in which nothing was seen are left
        out. at_ms of a point: the middle of its minute, on the clock of `add`."""
        ring = self._rings.get(ApproachId(approach))
        if ring is None:
            return ()
        this = now_ms // _MINUTE_MS
        found = []
        for minute in range(max(0, this - min(minutes, KEPT_MINUTES) + 1), this + 1):
            place = minute % KEPT_MINUTES
            if ring.minutes[place] != minute:
                continue
            count, kind = ring.counts[place], ring.classes[place]
            mean = ring.sums[place] / count if count else math.nan
            index = None if math.isnan(mean) else min(1.0, max(0.0, round(mean, 4)))
            congestion = None if kind == _NO_CLASS else CONGESTION_CLASSES[kind]
            found.append(Point(minute * _MINUTE_MS + _MINUTE_MS // 2, index, congestion))
        return found
