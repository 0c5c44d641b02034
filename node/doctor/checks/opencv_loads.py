from __future__ import annotations

import subprocess
import sys

from node.doctor.check import Context
from node.errors import ToolMissing

TIMEOUT_S = 20.0


class OpencvLoads:
    """Loads it in a child: a wheel for another processor ends the process that imports it."""

    title = "OpenCV loads"
    error = ToolMissing

    def __init__(self, module: str = "cv2") -> None:
        self._module = module

    def run(self, context: Context) -> str:
        del context
        code = f"import {self._module} as module; print(module.__version__)"
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise self._missing(f"it did not load within {TIMEOUT_S:.0f} s") from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise self._missing(lines[-1] if lines else f"loading it ended with status {done.returncode}")
        return f"OpenCV {done.stdout.strip()}."

    def _missing(self, detail: str) -> ToolMissing:
        return ToolMissing(
            tool="OpenCV", detail=detail, remedy="Run ./install.sh run again, or install the extra `agent`."
        )
