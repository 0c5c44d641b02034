"""The password of the broker that an edge server starts: made once, kept beside it, read by the agents next to it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

USERNAME = "kinflow"
_FILE = "broker-password"


def broker_password(home: Path) -> str:
    """The password of this state folder's broker; made when there is none yet (mode 0600)."""
    path = home / _FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return path.read_text("ascii").strip()


def has_broker_password(home: Path) -> bool:
    """True where an edge server has started a broker of its own from this state folder."""
    return (home / _FILE).is_file()
