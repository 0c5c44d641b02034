"""The secret that both sides hold, in a file that its owner alone may read."""

from __future__ import annotations

from pathlib import Path

from models.errors import PrefillSecretMissing
from protocol.kv_seal import SHORTEST_SECRET

FILE = "prefill-secret"


def read_secret(path: Path) -> bytes:
    """Raises PrefillSecretMissing (KF529)."""
    try:
        found = path.read_bytes().strip()
        shut = not path.stat().st_mode & 0o077
    except OSError as error:
        raise PrefillSecretMissing(path=path, detail=error.strerror or "it can't be read") from error
    if not shut:
        raise PrefillSecretMissing(path=path, detail="others than its owner may read it (chmod 600)")
    if len(found) < SHORTEST_SECRET:
        raise PrefillSecretMissing(path=path, detail=f"it is shorter than {SHORTEST_SECRET} letters")
    return found
