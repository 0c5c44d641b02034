"""What becomes of a batch while the disk is too full for readings: they are named as given up instead. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge_server.ingest import ranges
from edge_server.ingest.effects import Effect, GivenUp, StoreObservation
from edge_server.ingest.ranges import Range
from protocol.ids import BootId, DeviceId


def without_readings(effects: Sequence[Effect]) -> tuple[list[Effect], int]:
    """The effects to write, and how many readings are not among them. Each number is stored or named, as ever."""
    kept: list[Effect] = []
    numbers: dict[tuple[DeviceId, BootId], list[Range]] = {}
    found_ms = 0
    for effect in effects:
        if isinstance(effect, StoreObservation):
            one = effect.observation
            numbers.setdefault((one.source, one.boot), []).append((one.seq, one.seq))
            found_ms = effect.received_ms
        else:
            kept.append(effect)
    kept += [GivenUp(*boot, ranges.union(given, ()), found_ms) for boot, given in numbers.items()]
    return kept, len(effects) - len(kept) + len(numbers)
