"""The thread on which an edge server keeps itself in step with the other one of its pair."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

EVERY_S = 2.0

log = structlog.get_logger("edge.pair")


class PairKeeper:
    """steps: by what they keep in step; each asks the other one once, and returns whether there is more. One that fails
    keeps no other from its turn, and is told once until it works again."""

    def __init__(self, steps: Mapping[str, Callable[[], bool]], every_s: float = EVERY_S) -> None:
        self._steps, self._every_s = steps, every_s
        self._failing: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pair-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        more = False
        while not self._stopping.wait(0.0 if more else self._every_s):
            turns = [self._step(name, step) for name, step in self._steps.items()]
            more = any(turns)

    def _step(self, name: str, step: Callable[[], bool]) -> bool:
        try:
            more = step()
        except Exception as error:
            if name not in self._failing:
                log.warning("the other edge server of the pair was not asked", about=name, detail=str(error)[:300])
            self._failing.add(name)
            return False
        self._failing.discard(name)
        return more
