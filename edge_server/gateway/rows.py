"""From what the store and the messages hold to what the API shows, where that is more than a field by its name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from edge_server.gateway.views import (
    AlarmView,
    ApproachView,
    CorrectionView,
    DecisionView,
    EventView,
    Figure,
    HistoryPoint,
)
from edge_server.store.rows import Correction, IndexPoint, LogEntry, SignalEntry, StoredAlarm
from protocol.messages import Estimate


def certain(estimate: Estimate) -> Figure:
    return Figure(value=estimate.value, low=estimate.low, high=estimate.high)


def figure(estimate: Estimate | None) -> Figure | None:
    return certain(estimate) if estimate else None


def alarm_views(rows: Iterable[StoredAlarm], corrections: Iterable[Correction]) -> list[AlarmView]:
    """Fold raised and cleared rows into alarms, oldest first: one that stands is told once, under the row that raised
    it, with its latest words."""
    false = {one.alarm: one.id for one in corrections if one.alarm is not None}
    alarms: dict[int, AlarmView] = {}
    standing: dict[tuple[str, str, str], int] = {}
    for row in sorted(rows, key=lambda row: row.id):
        key = (row.source, row.alarm, row.subject)
        raised = standing.get(key)
        if raised is not None:
            changed = {"text": row.text, "severity": row.severity} if row.active else {"active": False}
            ended = {} if row.active else {"cleared_ms": row.received_ms}
            alarms[raised] = alarms[raised].model_copy(update={**changed, **ended})
        elif row.active:
            alarms[row.id] = AlarmView(**_fields(row, "boot", "seq"), correction=false.get(row.id))
        if row.active:
            standing.setdefault(key, row.id)
        else:
            standing.pop(key, None)
    return list(alarms.values())


def event_view(entry: LogEntry) -> EventView:
    return EventView(**_fields(entry, "kind"), what=entry.kind)


def correction_view(row: Correction) -> CorrectionView:
    return CorrectionView(**_fields(row))


def decision_view(row: SignalEntry) -> DecisionView:
    return DecisionView(**_fields(row, "id", "intersection"))


def history_point(row: IndexPoint) -> HistoryPoint:
    return HistoryPoint.model_validate(
        {
            "at_ms": row.captured_ms,
            "status": row.status,
            "index": row.index,
            "low": row.index_low,
            "high": row.index_high,
            "queue_m": row.queue_m,
            "congestion": row.congestion,
        }
    )


def remembered(known: ApproachView, row: IndexPoint) -> ApproachView:
    """An approach as the store last heard of it."""
    update = {
        "camera": row.camera,
        "status": row.status,
        "index": Figure(value=row.index, low=row.index_low, high=row.index_high),
        "congestion": row.congestion,
        "captured_ms": row.captured_ms,
        "received_ms": row.captured_ms,
    }
    return known.model_copy(update=update)


def _fields(row: msgspec.Struct, *without: str) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(row).items() if name not in without}
