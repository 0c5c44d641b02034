"""Writing a batch of ingest's effects, and reading back at start what ingest has to remember."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from edge_server.ingest.core import Boot, State
from edge_server.ingest.effects import (
    Effect,
    GapExplained,
    GapWithdrawn,
    GivenUp,
    HealthSeen,
    MissingChanged,
    RecoverAlarm,
    Remember,
    StoreAlarm,
    StoreObservation,
)
from edge_server.ingest.ranges import Ranges, subtract
from protocol.ids import BootId, DeviceId
from protocol.messages import Estimate

MISSING = "missing"
NO_ROOM = "edge-disk-full"

_encode = msgspec.json.Encoder().encode
_decode_ranges = msgspec.json.Decoder(Ranges).decode

_OBSERVATION = f"INSERT OR IGNORE INTO observations VALUES (NULL{', ?' * 27})"  # noqa: S608 (question marks only)
_ALARM = f"INSERT OR IGNORE INTO alarms VALUES (NULL{', ?' * 12})"  # noqa: S608
_HEALTH = """INSERT INTO health VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET boot = excluded.boot,
    seq = excluded.seq, made_ms = excluded.made_ms, received_ms = excluded.received_ms, message = excluded.message
    WHERE CASE WHEN excluded.boot = health.boot THEN excluded.seq > health.seq
               ELSE excluded.made_ms >= health.made_ms END"""
_REMEMBER = "INSERT OR REPLACE INTO received VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_GAP = "INSERT INTO gaps (source, boot, first, last, reason, found_ms) VALUES (?, ?, ?, ?, ?, ?)"


def write(connection: sqlite3.Connection, effects: Iterable[Effect]) -> None:
    """Inside the caller's transaction. Safe to repeat: a row that is there already stays as it is."""
    observations, alarms, healths, remembered = [], [], [], []
    for effect in effects:
        match effect:
            case StoreObservation():
                observations.append(_observation_row(effect))
            case StoreAlarm() | RecoverAlarm():
                alarms.append(_alarm_row(effect))
            case HealthSeen():
                healths.append(_health_row(effect))
            case Remember():
                remembered.append(_remember_row(effect))
            case GapExplained() | GapWithdrawn() | MissingChanged():
                _write_gap(connection, effect)
            case GivenUp():
                _write_given_up(connection, effect)
            case _:
                pass
    for statement, rows in (
        (_OBSERVATION, observations),
        (_ALARM, alarms),
        (_HEALTH, healths),
        (_REMEMBER, remembered),
    ):
        if rows:
            connection.executemany(statement, rows)


def recall(connection: sqlite3.Connection) -> State:
    """Ingest's state as of the last commit. Device clocks are learnt anew: ours may have restarted."""
    boots: dict[tuple[DeviceId, BootId], Boot] = {}
    known: dict[DeviceId, tuple[BootId, ...]] = {}
    retired: dict[DeviceId, tuple[BootId, ...]] = {}
    rows = connection.execute(
        "SELECT source, boot, closed, floor, highest, received, explained, reported, heard_ms FROM received"
        " ORDER BY heard_ms"
    )
    for source, boot, closed, floor, highest, received, explained, reported, heard_ms in rows:
        if closed:
            retired[source] = (*retired.get(source, ()), boot)
            continue
        known[source] = (*known.get(source, ()), boot)
        boots[source, boot] = Boot(
            floor=floor,
            highest=highest,
            received=_decode_ranges(received),
            explained=_decode_ranges(explained),
            reported=_decode_ranges(reported),
            heard_ms=heard_ms,
        )
    current = {
        DeviceId(device): BootId(boot) for device, boot in connection.execute("SELECT device, boot FROM devices")
    }
    return State(boots, known, current, retired)


def _observation_row(effect: StoreObservation) -> Sequence[object]:
    one = effect.observation
    captured_ms = effect.received_ms - effect.age_ms - max(0, one.mono_ms - one.captured_mono_ms)
    return (
        one.source,
        one.boot,
        one.seq,
        one.camera,
        one.approach,
        captured_ms,
        one.captured_ms,
        effect.received_ms,
        effect.age_ms,
        effect.live,
        one.sensor,
        one.status,
        one.calibrated,
        one.occupancy.value,
        one.occupancy.low,
        one.occupancy.high,
        one.index.value,
        one.index.low,
        one.index.high,
        one.congestion,
        one.quality.score,
        ",".join(one.quality.problems),
        _value(one.queue_m),
        _value(one.speed_mps),
        _value(one.count),
        one.emergency,
        _encode(one.lanes).decode() if one.lanes else "[]",
    )


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _alarm_row(effect: StoreAlarm | RecoverAlarm) -> Sequence[object]:
    one = effect.alarm
    return (
        one.source,
        one.boot,
        one.seq,
        one.alarm,
        one.subject,
        one.severity,
        one.active,
        one.text,
        one.code,
        one.at_ms,
        effect.received_ms,
        effect.age_ms,
    )


def _health_row(effect: HealthSeen) -> Sequence[object]:
    one = effect.health
    made_ms = effect.received_ms - effect.age_ms
    return (one.source, one.boot, one.seq, made_ms, effect.received_ms, _encode(one).decode())


def _remember_row(effect: Remember) -> Sequence[object]:
    known = effect.known or Boot()
    return (
        effect.source,
        effect.boot,
        effect.known is None,
        known.floor,
        known.highest,
        _encode(known.received).decode(),
        _encode(known.explained).decode(),
        _encode(known.reported).decode(),
        known.heard_ms,
    )


def _write_given_up(connection: sqlite3.Connection, effect: GivenUp) -> None:
    """A range that goes on is one row that grows: where there is no room, a row a second would be too many."""
    boot = (effect.source, effect.boot)
    for first, last in effect.ranges:
        grown = connection.execute(
            "UPDATE gaps SET last = ?, found_ms = ? WHERE source = ? AND boot = ? AND reason = ? AND last = ?",
            (last, effect.found_ms, *boot, NO_ROOM, first - 1),
        ).rowcount
        if not grown:
            connection.execute(_GAP, (*boot, first, last, NO_ROOM, effect.found_ms))


def _write_gap(connection: sqlite3.Connection, effect: GapExplained | GapWithdrawn | MissingChanged) -> None:
    boot = (effect.source, effect.boot)
    match effect:
        case GapExplained():
            rows = [(*boot, first, last, effect.reason, effect.found_ms) for first, last in effect.ranges]
            connection.executemany(_GAP, rows)
        case MissingChanged():
            connection.execute("DELETE FROM gaps WHERE source = ? AND boot = ? AND reason = ?", (*boot, MISSING))
            rows = [(*boot, first, last, MISSING, effect.found_ms) for first, last in effect.ranges]
            connection.executemany(_GAP, rows)
        case GapWithdrawn():
            found = connection.execute(
                "DELETE FROM gaps WHERE source = ? AND boot = ? AND first <= ? AND last >= ? AND reason <> ?"
                " RETURNING first, last, reason, found_ms",
                (*boot, effect.seq, effect.seq, MISSING),
            ).fetchall()
            for first, last, reason, found_ms in found:
                left = subtract(((first, last),), ((effect.seq, effect.seq),))
                connection.executemany(_GAP, [(*boot, *piece, reason, found_ms) for piece in left])
