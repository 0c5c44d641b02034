"""The disk's stages in words: one alarm, which changes what it says as the disk fills, and is over when it has room."""

from __future__ import annotations

from pathlib import Path

from edge_server.errors import DiskLow, DiskReserveUsed, ReadingsNotStored
from edge_server.store.room import Stage
from protocol.errors import KinflowError
from protocol.messages.alarm import Severity

NAME = "disk-room"


def alarm_of(stage: Stage, folder: Path, free_mb: float, given_up: int) -> tuple[KinflowError, Severity, bool]:
    """given_up: readings not stored since the disk last had room. Returns the error, how bad it is, and whether it
    stands."""
    free = f"{free_mb:.0f}"
    match stage:
        case "full":
            return DiskReserveUsed(folder=folder, free_mb=free), "critical", True
        case "very-low":
            return ReadingsNotStored(folder=folder, free_mb=free, count=given_up), "critical", True
        case "low":
            return DiskLow(folder=folder, free_mb=free), "warning", True
        case _ if given_up:
            return ReadingsNotStored(folder=folder, free_mb=free, count=given_up), "warning", False
        case _:
            return DiskLow(folder=folder, free_mb=free), "warning", False
