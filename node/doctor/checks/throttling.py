from __future__ import annotations

from collections.abc import Callable

from node.doctor.check import Context
from node.errors import Throttled
from node.hardware.found import Hardware
from node.hardware.probe import look


class Throttling:
    title = "The processor runs freely"
    error = Throttled

    def __init__(self, look: Callable[[], Hardware] = look) -> None:
        self._look = look

    def run(self, context: Context) -> str:
        del context
        found = self._look().throttling
        if found.now:
            raise Throttled(reasons=", ".join(found.now))
        # A power supply that once was too weak will be so again, at the worst moment for the card.
        if "under-voltage" in found.since_boot:
            raise Throttled(reasons="under-voltage since it was switched on")
        if found.since_boot:
            return f"Not now; since it was switched on: {', '.join(found.since_boot)}."
        return "It was never held back." if found.known else "This machine does not tell."
