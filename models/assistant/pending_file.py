"""What the last `kinflow ask` asked back, until the next one answers it: a command ends, a question stays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from models.assistant.assistant import PATIENCE_MS, Session, Waiting
from models.assistant.skills import Pending
from models.assistant.world_file import FOLDER

NAME = "pending.json"


class _Kept(Struct, frozen=True):
    """pending None: the tier above waits, in the conversation of this name."""

    asked_ms: int
    pending: Pending | None
    name: str


class PendingFile:
    """wall_ms: the clock that outlives a process. One that was set back, or forward, ends what was asked."""

    def __init__(self, home: Path, wall_ms: Callable[[], int], monotonic_ms: Callable[[], int]) -> None:
        self._path = home / FOLDER / NAME
        self._wall_ms, self._monotonic_ms = wall_ms, monotonic_ms

    def load(self) -> Session:
        """The session to go on with; a new one where nothing waits."""
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
            left_ms = PATIENCE_MS - (self._wall_ms() - kept.asked_ms)
            if 0 < left_ms <= PATIENCE_MS:
                return Session(Waiting(kept.pending, self._monotonic_ms() + left_ms), kept.name)
        return Session()

    def save(self, session: Session) -> None:
        """Raises OSError."""
        if session.waiting is None:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = _Kept(self._wall_ms(), session.waiting.pending, session.name)
        part = self._path.with_name(f".{NAME}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
        part.replace(self._path)
