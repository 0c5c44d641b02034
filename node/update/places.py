"""Where an installed Kinflow lies: its versions, the link to the one in use, and what an update keeps in the home."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from node.errors import UpdateNotPossible
from node.update.version import is_version, rank

UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Places:
    """prefix: /opt/kinflow on a system. home: $KINFLOW_HOME."""

    prefix: Path
    home: Path

    @property
    def versions(self) -> Path:
        return self.prefix / "versions"

    @property
    def current(self) -> Path:
        return self.prefix / "current"

    @property
    def folder(self) -> Path:
        """All that an update keeps in the home."""
        return self.home / "update"

    @property
    def journal(self) -> Path:
        return self.folder / "state.json"

    @property
    def boots(self) -> Path:
        """How often the version on trial was started: written by the boot selector, read here."""
        return self.folder / "boots.json"

    @property
    def wanted(self) -> Path:
        """What somebody asked for; its presence starts the updater."""
        return self.folder / "wanted"

    @property
    def restart(self) -> Path:
        """Touched to have the services restarted by who may."""
        return self.folder / "restart"

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    @property
    def work(self) -> Path:
        """Where a bundle is unpacked before it is installed."""
        return self.folder / "work"

    @property
    def trusted(self) -> Path:
        """TUF metadata that was verified."""
        return self.folder / "tuf"

    def version(self, version: str) -> Path:
        if not is_version(version):
            raise ValueError(f"{version!r} is no version")
        return self.versions / version

    def schemas(self, version: str) -> Path:
        """The schemas of the stores as that version knew them."""
        return self.folder / "schemas" / f"{version}.json"

    def is_whole(self, version: str) -> bool:
        """Whether a version is there and its installation was finished."""
        folder = self.version(version)
        return os.access(folder / "bin" / "kinflow", os.X_OK) and not (folder / UNFINISHED).exists()

    def in_use(self) -> str | None:
        """The version that `current` points at, when that is a whole one."""
        try:
            name = Path(os.readlink(self.current)).name
        except OSError:
            return None
        return name if is_version(name) and self.is_whole(name) else None

    def installed(self) -> tuple[str, ...]:
        """Whole versions, oldest first."""
        if not self.versions.is_dir():
            return ()
        names = [path.name for path in self.versions.iterdir() if is_version(path.name)]
        return tuple(sorted((name for name in names if self.is_whole(name)), key=rank))


def find_prefix(environment: Path | None = None) -> Path:
    """The prefix that this very program runs from. Raises UpdateNotPossible (KF183) in a clone."""
    folder = environment or Path(sys.prefix)
    if folder.parent.name != "versions":
        raise UpdateNotPossible(detail=f"this Kinflow runs from {folder}, which is no installed version")
    return folder.parent.parent
