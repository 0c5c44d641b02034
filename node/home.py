"""Where state lives: $KINFLOW_HOME, a clone's .kinflow/, or /var/lib/kinflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CLONE_MARKER = "install.sh"
SYSTEM_HOME = Path("/var/lib/kinflow")


def find_home(environment: Mapping[str, str] = os.environ, package: Path = Path(__file__)) -> Path:
    """The state folder: $KINFLOW_HOME when set; in a clone, its .kinflow/; else the system's. Not created here."""
    configured = environment.get("KINFLOW_HOME")
    if configured:
        return Path(configured).expanduser().resolve()
    clone = package.resolve().parent.parent
    if (clone / CLONE_MARKER).is_file() and (clone / "pyproject.toml").is_file():
        return clone / ".kinflow"
    return SYSTEM_HOME
