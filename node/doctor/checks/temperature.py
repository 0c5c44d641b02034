from __future__ import annotations

from collections.abc import Callable

from node.doctor.check import Context
from node.errors import TooHot
from node.hardware.fit import fit
from node.hardware.found import Hardware
from node.hardware.probe import look


class Temperature:
    title = "The board is cool enough"
    error = TooHot

    def __init__(self, look: Callable[[], Hardware] = look) -> None:
        self._look = look

    def run(self, context: Context) -> str:
        del context
        hardware = self._look()
        hottest, profile = hardware.hottest, fit(hardware)
        if hottest is None or hottest.now_c is None:
            return "This machine tells no temperature."
        warm_c = min(profile.warm_c, hottest.passive_c or profile.warm_c)
        if hottest.now_c >= warm_c:
            raise TooHot(zone=hottest.name, now_c=round(hottest.now_c), warm_c=round(warm_c))
        return f"{hottest.now_c:.0f} °C ({hottest.name}); it slows down at {warm_c:.0f} °C."
