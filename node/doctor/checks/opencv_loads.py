from __future__ import annotations

from node.doctor.check import Context
from node.doctor.loading import load_in_child
from node.errors import ToolMissing


class OpencvLoads:
    title = "OpenCV loads"
    error = ToolMissing

    def __init__(self, module: str = "cv2") -> None:
        self._module = module

    def run(self, context: Context) -> str:
        del context
        statement = f"import {self._module} as module; print(module.__version__)"
        version = load_in_child("OpenCV", statement, "Run ./install.sh run again, or install the extra `agent`.")
        return f"OpenCV {version}."
