"""The thread that asks the UPS and carries out what the policy says."""

from __future__ import annotations

import threading
from collections.abc import Callable

from node.clock import Clock
from node.errors import UpsSilent
from node.power.policy import Effect, Limits, Reading, State, step
from node.power.sources import Source

ASK_S = 2.0

Tell = Callable[[Effect, Reading | None, UpsSilent | None], object]


class PowerWatch:
    """`tell` gets each effect once, with the reading or the fault that led to it, on this thread."""

    def __init__(self, source: Source, limits: Limits, clock: Clock, tell: Tell, ask_s: float = ASK_S) -> None:
        self._source, self._limits, self._clock, self._tell, self._ask_s = source, limits, clock, tell, ask_s
        self._state = State(clock.monotonic_ms())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        reading, fault = None, None
        try:
            reading = self._source()
        except UpsSilent as error:
            fault = error
        self._state, effects = step(self._state, reading, self._clock.monotonic_ms(), self._limits)
        for effect in effects:
            self._tell(effect, reading, fault)

    def _run(self) -> None:
        while not self._stopping.wait(self._ask_s):
            self.look()
