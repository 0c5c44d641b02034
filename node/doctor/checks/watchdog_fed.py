from __future__ import annotations

from collections.abc import Callable

from node.doctor.check import Context
from node.errors import WatchdogOff
from node.hardware.found import Hardware
from node.hardware.probe import look


class WatchdogFed:
    title = "A machine that hangs starts again by itself"
    error = WatchdogOff

    def __init__(self, look: Callable[[], Hardware] = look) -> None:
        self._look = look

    def run(self, context: Context) -> str:
        del context
        found = self._look().watchdog
        if found is None:
            return "This machine has no hardware watchdog."
        if found.active is False:
            raise WatchdogOff(device=found.device)
        told = f"{found.identity or found.device}"
        return f"{told} is fed." if found.active else f"{told} is there; the kernel does not tell whether it is fed."
