"""What ingest counts about itself, since its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_server.store.room import Stage


@dataclass(frozen=True)
class IngestFigures:
    """received: messages taken from the broker, good or bad. stored: new ones committed. duplicates: known already.
    shed: left unacknowledged because of overload or a full disk (their devices send them again). held_off: alarms and
    gaps among them that memory had no room for. broker_dropped: what the broker dropped before we had it, which is not
    acknowledged either. shedding: observations are being left out. rejected: by code. disk, disk_free_mb: how little
    room there is (edge_server/store/room.py); None before it was looked at. given_up: readings that came and were not
    stored for want of it."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    shed: int = 0
    held_off: int = 0
    broker_dropped: int = 0
    commits: int = 0
    waiting: int = 0
    disk_full: bool = False
    disk: Stage = "ok"
    disk_free_mb: float | None = None
    given_up: int = 0
    shedding: bool = False
    rejected: Mapping[str, int] = field(default_factory=dict)
