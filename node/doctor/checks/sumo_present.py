from __future__ import annotations

from node.doctor.check import Context
from node.doctor.loading import load_in_child
from node.errors import ToolMissing


class SumoPresent:
    title = "SUMO is there for the simulated city"
    error = ToolMissing

    def __init__(self, module: str = "libsumo") -> None:
        self._module = module

    def run(self, context: Context) -> str:
        del context
        statement = f"import sumo, {self._module} as module; print(module.getVersion()[1])"
        remedy = (
            "Only the simulated city needs it. `sudo apt install libatomic1` for a missing libatomic.so.1; "
            "else install the extra `sim`. On a device, ignore this."
        )
        return f"{load_in_child('SUMO', statement, remedy)}."
