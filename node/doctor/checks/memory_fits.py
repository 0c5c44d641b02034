from __future__ import annotations

from collections.abc import Callable

from node.doctor.check import Context
from node.errors import BoardTooSmall
from node.hardware.fit import fit
from node.hardware.found import Hardware
from node.hardware.probe import look


class MemoryFits:
    title = "The board can carry what it is to run"
    error = BoardTooSmall

    def __init__(self, look: Callable[[], Hardware] = look) -> None:
        self._look = look

    def run(self, context: Context) -> str:
        hardware = self._look()
        profile = fit(hardware, context.settings().settings.hardware)
        if profile.detector is None and profile.refused:
            raise BoardTooSmall(what=profile.refused[0].what, lacks=profile.refused[0].lacks)
        runs = " and ".join(one for one in (profile.detector, profile.member) if one)
        swap = " It swaps to its disk, which wears a card out." if _wears(hardware) else ""
        return f"{profile.title}, {hardware.memory.available_mb} MB free: {runs}.{swap}"


def _wears(hardware: Hardware) -> bool:
    return hardware.memory.swap_on_disk and hardware.disk.kind in ("sd", "emmc")
