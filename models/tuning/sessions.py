"""How onnxruntime is asked to run what was compiled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from models.errors import ProgramUnreadable

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

# It would join the unpacking of a matrix (models.tuning.packed) with its product, and round what meets it, too.
_LEFT_OUT = ["QDQSelectorActionTransformer"]
_ERRORS_ONLY = 3
_CPU = ["CPUExecutionProvider"]


def options(threads: int = 1, order: str = "default") -> Any:
    """Memory patterns cost memory here and save no time, and so do matrices that are packed beforehand, since rows are
    many; a spinning thread takes a small machine's other core."""
    chosen = onnxruntime.SessionOptions()
    chosen.log_severity_level = _ERRORS_ONLY
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.enable_mem_pattern = False
    if order == "priority":
        chosen.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    chosen.add_session_config_entry("session.disable_prepacking", "1")
    # Gradients of what is learnt nearly vanish; numbers that small take a processor a hundred times longer.
    chosen.add_session_config_entry("session.set_denormal_as_zero", "1")
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    return chosen


def open_session(path: Path, threads: int, order: str) -> Any:
    """Raises ProgramUnreadable (KF368)."""
    try:
        return onnxruntime.InferenceSession(
            str(path), options(threads, order), providers=_CPU, disabled_optimizers=_LEFT_OUT
        )
    except Exception as error:  # onnxruntime's exceptions have no common class of their own
        detail = str(error).strip().split("\n")[0][:200]
        raise ProgramUnreadable(path=path, detail=detail) from error
