"""Backups by themselves: when one is due, which go, and the thread that sees to it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from edge_server.backup.passphrase import from_file
from edge_server.backup.subject import subject_of
from edge_server.backup.write import write_backup
from edge_server.errors import BackupFailed
from node.clock import Clock
from node.config.schema import Backup

SUFFIX = ".kinflow-backup"
LOOK_S = 30.0
# A folder that was not there, or a full disk, is tried again after this long.
RETRY_MS = 15 * 60_000
HOUR_MS = 3_600_000

log = structlog.get_logger("edge.backup")


def name_of(edge: str, made_ms: int) -> str:
    return f"{edge}-{datetime.fromtimestamp(made_ms / 1000, UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"


def made_by(edge: str, names: Iterable[str]) -> list[tuple[int, str]]:
    """When each backup of this edge server among `names` was made, and its name, the oldest first."""
    pattern = re.compile(re.escape(edge) + r"-(\d{8}T\d{6}Z)" + re.escape(SUFFIX))
    found = []
    for name in names:
        if match := pattern.fullmatch(name):
            at = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            found.append((int(at.timestamp() * 1000), name))
    return sorted(found)


def is_due(newest_ms: int | None, now_ms: int, every_ms: int) -> bool:
    """A newest one from the future (the clock was wrong) does not keep others from being made."""
    return newest_ms is None or newest_ms > now_ms or now_ms - newest_ms >= every_ms


def to_delete(edge: str, names: Iterable[str], keep: int) -> list[str]:
    """Those beyond the `keep` newest, of this edge server alone: other files in the folder are not ours."""
    return [name for _, name in made_by(edge, names)[:-keep]]


class Schedule:
    """A thread; `failed` is told of the error, once while it lasts, and of None when it is over."""

    def __init__(
        self, home: Path, edge: str, settings: Backup, clock: Clock, failed: Callable[[BackupFailed | None], object]
    ) -> None:
        self._home, self._edge, self._settings, self._clock = home, edge, settings, clock
        self._failed = failed
        self._fault: BackupFailed | None = None
        self._retry_mono_ms = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backup", daemon=True)

    def start(self) -> None:
        if self._settings.folder:
            self._thread.start()

    def stop(self) -> None:
        """A backup that is being written is left to end with the process: its name is given only at its end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def look(self) -> Path | None:
        """Make one if it is due, and delete the oldest; the new one's path. Raises BackupFailed (KF228)."""
        folder, now_ms = Path(self._settings.folder), self._clock.wall_ms()
        # Not made here: where a stick is missing, its empty mount point would fill the disk that is to be saved.
        if not folder.is_dir():
            raise BackupFailed(path=folder, detail="there is no such folder; is the disk connected?")
        names = [one.name for one in folder.iterdir()]
        made = made_by(self._edge, names)
        if not is_due(made[-1][0] if made else None, now_ms, round(self._settings.every_hours * HOUR_MS)):
            return None
        if not self._settings.key_file:
            raise BackupFailed(path=folder, detail="backup.key_file names no key file")
        path = folder / name_of(self._edge, now_ms)
        write_backup(subject_of(self._home, self._edge), path, from_file(Path(self._settings.key_file)), now_ms)
        for name in to_delete(self._edge, [*names, path.name], self._settings.keep):
            (folder / name).unlink(missing_ok=True)
        return path

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S if self._retry_mono_ms else 1.0):
            if self._clock.monotonic_ms() < self._retry_mono_ms:
                continue
            self._retry_mono_ms = self._clock.monotonic_ms() + 1
            try:
                path = self.look()
            except Exception as error:
                self._retry_mono_ms = self._clock.monotonic_ms() + RETRY_MS
                self._tell(error if isinstance(error, BackupFailed) else _unforeseen(self._settings.folder, error))
                continue
            if path is not None:
                log.info("a backup was made", path=str(path))
            self._tell(None)

    def _tell(self, fault: BackupFailed | None) -> None:
        if (fault is None) != (self._fault is None):
            if fault is not None:
                log.error(str(fault))
            self._failed(fault)
        self._fault = fault


def _unforeseen(folder: str, error: Exception) -> BackupFailed:
    return BackupFailed(path=folder, detail=f"{type(error).__name__}: {error}")
