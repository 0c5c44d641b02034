"""When a vehicle is on duty: `mon-fri 06:00-22:00`, `sat 20:00-04:00` (into the next day), `mon-sun 00:00-24:00`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(DAYS)
_SHIFT = re.compile(rf"({_DAY})(?:-({_DAY}))? (\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Shift:
    """days: 0 is Monday. Minutes of the day; the end is after the start, beyond midnight too."""

    days: frozenset[int]
    start_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str) -> Shift:
        """Raises ValueError."""
        found = _SHIFT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no shift such as 'mon-fri 06:00-22:00'")
        first = DAYS.index(found[1])
        last = DAYS.index(found[2] or found[1])
        start_min, end_min = (int(found[at]) * 60 + int(found[at + 1]) for at in (3, 5))
        if start_min >= _DAY_MINUTES or end_min > _DAY_MINUTES or int(found[4]) > 59 or int(found[6]) > 59:
            raise ValueError(f"{text!r} has no such time of day")
        if end_min <= start_min:
            end_min += _DAY_MINUTES
        count = (last - first) % 7 + 1
        return cls(frozenset((first + at) % 7 for at in range(count)), start_min, end_min)

    def holds(self, now: datetime) -> bool:
        """now: in the site's time zone."""
        minute = now.hour * 60 + now.minute
        today, yesterday = now.weekday(), (now.weekday() - 1) % 7
        if today in self.days and self.start_min <= minute < self.end_min:
            return True
        return yesterday in self.days and minute + _DAY_MINUTES < self.end_min
