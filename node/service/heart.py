"""The heart of a process: the service manager's watchdog is fed only while every loop still turns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from node.clock import Clock, SystemClock
from node.service.notify import Manager

# A watchdog wants to be fed twice within its time; without one this is how often the heart looks.
LOOK_S = 5.0
STARTING_S = 0.2

log = logging.getLogger(__name__)


class Heart:
    """loops: within how many seconds each loop must come round again. A process without a manager has a heart too,
    whose beats are noted and told to nobody.

    READY=1 is sent once every loop has come round for the first time; WATCHDOG=1 from then on while none is late. A
    loop that hangs is named once in the log and in the unit's status; the manager then ends the process within its own
    time and starts it anew.
    """

    def __init__(self, loops: Mapping[str, float], manager: Manager | None, clock: Clock | None = None) -> None:
        self._limits_ms = {name: limit_s * 1000 for name, limit_s in loops.items()}
        self._manager = manager
        self._clock = clock or SystemClock()
        # Every key is there from the start: the heart's thread goes through them while others write.
        self._beaten_ms: dict[str, int | None] = dict.fromkeys(loops)
        self._ready = False
        self._late: tuple[str, ...] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def beat(self, name: str) -> None:
        """Say that the loop has come round; from any thread, and cheap enough for each pass. Raises KeyError for a loop
        that was not named."""
        if name not in self._limits_ms:
            raise KeyError(name)
        self._beaten_ms[name] = self._clock.monotonic_ms()

    def of(self, name: str) -> Callable[[], None]:
        """beat(name), to hand to the loop."""
        return lambda: self.beat(name)

    def late(self) -> tuple[str, ...]:
        """The loops that have beaten, and not within their limits."""
        now_ms = self._clock.monotonic_ms()
        return tuple(
            name
            for name, at_ms in self._beaten_ms.items()
            if at_ms is not None and now_ms - at_ms > self._limits_ms[name]
        )

    def start(self) -> None:
        if self._manager is not None and not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Say that the process ends on purpose. Call it first: what follows has the unit's stop time."""
        if self._manager is not None and not self._stopping.is_set():
            self._manager.tell("STOPPING=1", "STATUS=stopping")
        self._stopping.set()

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows."""
        if self._manager is not None:
            self._manager.tell(f"STATUS={text}")

    def _run(self) -> None:
        assert self._manager is not None
        watchdog_s = self._manager.watchdog_s
        every_s = LOOK_S if watchdog_s is None else min(LOOK_S, watchdog_s / 3)
        while not self._stopping.wait(every_s if self._ready else min(STARTING_S, every_s)):
            self._look(self._manager)

    def _look(self, manager: Manager) -> None:
        late = self.late()
        if not self._ready and None not in self._beaten_ms.values():
            self._ready = True
            manager.tell("READY=1", "STATUS=running")
        if late != self._late:
            self._late = late
            if late:
                log.error("%s hangs; the service manager ends this process unless it goes on", ", ".join(late))
            manager.tell(f"STATUS=hanging: {', '.join(late)}" if late else "STATUS=running")
        if self._ready and not late:
            manager.tell("WATCHDOG=1")
