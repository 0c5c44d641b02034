"""A token in a file of the state folder: whoever may read the folder may come in."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_SHORTEST = 32


def load_or_make_token(path: Path) -> str:
    """Readable by its owner alone; one that others can read, or that is cut short, is made anew."""
    try:
        token = path.read_text("ascii").strip()
        if len(token) >= _SHORTEST and not path.stat().st_mode & 0o077:
            return token
    except (OSError, UnicodeDecodeError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    token = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token
