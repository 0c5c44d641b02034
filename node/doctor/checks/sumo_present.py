from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import version

from node.doctor.check import Context
from node.errors import ToolMissing


def has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


class SumoPresent:
    title = "SUMO is there for the simulated city"
    error = ToolMissing

    def __init__(self, has: Callable[[str], bool] = has_module) -> None:
        self._has = has

    def run(self, context: Context) -> str:
        del context
        for module in ("libsumo", "sumo"):
            if not self._has(module):
                raise ToolMissing(
                    tool="SUMO",
                    detail=f"the package {module} is not installed",
                    remedy="Only the simulated city needs it: install the extra `sim`, or ignore this on a device.",
                )
        return f"SUMO {version('eclipse-sumo')}."
