"""Where the time of a picture goes, stage by stage."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """spent_s: in each stage so far, by the clock that is passed in, in seconds. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.spent_s: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began_s = self._clock()
        try:
            yield
        finally:
            self.spent_s[name] += self._clock() - began_s
