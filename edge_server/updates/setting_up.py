"""Put the parts of updates together from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edge_server.fleet.device import Device
from edge_server.updates.mirror import Mirror
from edge_server.updates.rollout_store import RolloutStore
from edge_server.updates.service import UpdateService
from node.clock import Clock
from node.update.opening import root_of_trust
from node.update.source import open_source
from node.update.targets import Targets
from protocol.ids import DeviceId, MessageId


def update_service(  # noqa: PLR0917 (its ports)
    home: Path,
    source: str,
    devices: Callable[[], Mapping[DeviceId, Device]],
    configure: Callable[[DeviceId, str, Mapping[str, str]], MessageId],
    clock: Clock,
    tell: Callable[[str, bool], None],
) -> UpdateService:
    """source: update.source; without one the mirror serves what it holds."""
    folder = home / "mirror"
    trusted = folder / "trusted"

    def opened() -> Targets:
        return Targets(trusted, open_source(source), root_of_trust(home))

    mirror = Mirror(folder, opened)
    store = RolloutStore(home / "rollout.db")
    return UpdateService(
        store, mirror, (lambda: mirror.sync(trusted)) if source else None, devices, configure, clock, tell
    )
