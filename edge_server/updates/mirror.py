"""What a site's devices may fetch: verified copies of metadata and files, handed on exactly as they were signed.

The mirror holds no key, so it can keep a release back or damage it, and devices notice both; it can't make one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from tuf.api.metadata import Metadata
from tuf.api.metadata import Targets as TargetsRole

from node.update.durable import write_durably
from node.update.targets import CHANNEL, Channel, Targets

ROLES = ("releases", "models")


class Mirror:
    """One thread syncs; any may read `folder`. open_targets: the source as verified by this server's root of trust."""

    def __init__(self, folder: Path, open_targets: Callable[[], Targets]) -> None:
        self.folder = folder
        self._open = open_targets

    def channel(self) -> Channel | None:
        """What was current at the last sync."""
        try:
            return msgspec.json.decode((self.folder / "channel.json").read_bytes(), type=Channel)
        except (OSError, ValueError):
            return None

    def archs(self, version: str) -> tuple[str, ...]:
        """For which processors a version is here."""
        folder = self.folder / "targets" / "kinflow" / version
        return tuple(sorted({path.name.split(".")[-2] for path in folder.glob("*.tar")}))

    def sync(self, trusted: Path) -> Channel:
        """Bring everything that is current here: files first, and the metadata that names them last, so that what is
        served is whole at every moment. trusted: where `open_targets` keeps what it verified. Raises as Targets."""
        source = self._open()
        channel = source.refresh()
        metadata = {role: source.raw(role) for role in ("timestamp", "snapshot", "targets")}
        wanted: set[Path] = set()
        for role in ROLES:
            # Asking for a path of a role has its metadata fetched and verified.
            source.find(CHANNEL if role == "releases" else "models/none")
            data = source.raw(role)
            metadata[role] = data
            signed = Metadata[TargetsRole].from_bytes(data).signed
            for path, target in signed.targets.items():
                if path.startswith("kinflow/") and path != CHANNEL and path.split("/")[1] != channel.version:
                    continue
                folder, _, name = path.rpartition("/")
                file = self.folder / "targets" / folder / f"{next(iter(target.hashes.values()))}.{name}"
                source.download(target, file)
                wanted.add(file)
        self._publish(metadata, trusted)
        write_durably(
            self.folder / "channel.json",
            json.dumps({"format": 1, "version": channel.version, "published": channel.published}).encode(),
        )
        for file in (self.folder / "targets").rglob("*"):
            if file.is_file() and file not in wanted and file.suffix != ".part":
                file.unlink()
        return channel

    def _publish(self, metadata: dict[str, bytes], trusted: Path) -> None:
        folder = self.folder / "metadata"
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted((trusted / "root_history").glob("*.root.json")):
            if not (folder / path.name).exists():
                write_durably(folder / path.name, path.read_bytes())
        for role in (*ROLES, "targets", "snapshot"):
            data = metadata[role]
            write_durably(folder / f"{json.loads(data)['signed']['version']}.{role}.json", data)
        write_durably(folder / "timestamp.json", metadata["timestamp"])
