"""The edge server's id: configured, else kept with the state, else made of the host's name."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from protocol.ids import DeviceId, device_id

FILE = "edge-id"


def own_id(configured: str, home: Path) -> DeviceId:
    """An agent may run on the same machine under the configured id: the edge server's own begins with `edge`.

    A restored state folder brings its id along: its devices know that one, whatever the new machine is called."""
    if configured.startswith("edge"):
        return device_id(configured)
    path = home / FILE
    if path.is_file():
        return device_id(path.read_text("ascii").strip())
    name = configured or re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")
    return device_id(f"edge-{name}"[:63])


def keep_own_id(home: Path, edge: str) -> None:
    (home / FILE).write_text(f"{device_id(edge)}\n", "ascii")
