"""Whether machine code loads: tried in a child, since a wheel for another processor ends its process."""

from __future__ import annotations

import subprocess
import sys

from node.errors import LibraryIllegal, ToolMissing
from node.hardware.guard import is_illegal

TIMEOUT_S = 20.0


def load_in_child(tool: str, statement: str, remedy: str) -> str:
    """Run one Python statement that imports `tool` and prints its version; return that. Raises ToolMissing (KF36),
    or LibraryIllegal (KF189) when the child died of an illegal instruction."""
    command = [sys.executable, "-c", statement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        detail = f"it did not load within {TIMEOUT_S:.0f} s"
        raise ToolMissing(tool=tool, detail=detail, remedy=remedy) from error
    if is_illegal(done.returncode):
        raise LibraryIllegal(library=tool)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        detail = lines[-1] if lines else f"loading it ended with status {done.returncode}"
        raise ToolMissing(tool=tool, detail=detail, remedy=remedy)
    return done.stdout.strip()
