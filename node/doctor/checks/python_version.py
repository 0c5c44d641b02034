from __future__ import annotations

import sys

from node.doctor.check import Context
from node.errors import PythonTooOld

NEEDED = (3, 11)


class PythonVersion:
    title = "Python is new enough"
    error = PythonTooOld

    def __init__(self, found: tuple[int, ...] = tuple(sys.version_info[:3])) -> None:
        self._found = found

    def run(self, context: Context) -> str:
        del context
        found = ".".join(map(str, self._found))
        if self._found < NEEDED:
            raise PythonTooOld(found=found, needed=".".join(map(str, NEEDED)))
        return f"Python {found}."
