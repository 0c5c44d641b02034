"""After a split or an outage: each edge server fetches what the other one has stored, and stores what it lacks.

The rows of a store have numbers that rise with receipt. So one number tells how far the other one's alarms were read,
and one how far its log of decisions: kept in our own store, in the transaction that stores what was read up to there.
Reading again does no harm: an alarm is known by source, boot and seq, a decision by all that it says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec
from msgspec import Struct

from edge_server.ingest.effects import RecoverAlarm
from edge_server.pair.asking import PeerAsker
from edge_server.pair.wire import STORED, Stored
from edge_server.store.reader import StoreReader
from edge_server.store.rows import KeptAlarm, SignalEntry
from protocol.ids import DeviceId, new_message_id
from protocol.messages import Alarm

ROWS_AT_ONCE = 500
# Alarms have 500 characters at most, and so have reasons.
ANSWER_LIMIT = 8 * 1024 * 1024
WRITTEN_WITHIN_S = 30.0


class Recover(Protocol):
    """IngestWorker.recover."""

    def __call__(self, found: Sequence[RecoverAlarm], also: Callable[[sqlite3.Connection], object]) -> Future[None]: ...


class Read(Struct, frozen=True):
    """How far the other one's store was read. generation: of that store; another one is read from its beginning."""

    generation: str = ""
    alarms: int = 0
    signals: int = 0


class Backfill:
    """step() is one request and one transaction."""

    def __init__(self, peer: DeviceId, asker: PeerAsker, reader: StoreReader, recover: Recover) -> None:
        self._key = f"pair-read-{peer}"
        self._asker, self._reader, self._recover = asker, reader, recover

    def step(self) -> bool:
        """Whether there is more. Raises what asking raises, or StoreUnwritable (KF75), TimeoutError."""
        read = self._remembered()
        query = f"?generation={read.generation}&alarms={read.alarms}&signals={read.signals}"
        said = self._asker.ask(STORED + query, Stored, ANSWER_LIMIT)
        now = Read(said.generation, said.alarms_read, said.signals_read)
        if now != read:
            lacking = [_recovered(one) for one in self._reader.lacks(said.alarms)]
            self._recover(lacking, lambda store: self._write(store, said.signals, now)).result(WRITTEN_WITHIN_S)
        return len(said.alarms) == ROWS_AT_ONCE or len(said.signals) == ROWS_AT_ONCE

    def _remembered(self) -> Read:
        known = self._reader.setting(self._key)
        return msgspec.json.decode(known, type=Read) if known else Read()

    def _write(self, store: sqlite3.Connection, signals: Sequence[SignalEntry], now: Read) -> None:
        for one in signals:
            row = (
                one.at_ms,
                one.intersection,
                one.controller,
                msgspec.json.encode(one.phases).decode(),
                one.reason,
                one.command,
                one.outcome,
            )
            store.execute(
                "INSERT INTO signal_log SELECT NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM"
                " signal_log WHERE intersection = ?2 AND at_ms = ?1 AND controller = ?3 AND phases = ?4 AND reason = ?5"
                " AND command = ?6 AND outcome = ?7)",
                row,
            )
        store.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (self._key, msgspec.json.encode(now).decode()))


def stored_after(reader: StoreReader, generation: str, read: Read) -> Stored:
    """What the other one asks for. generation: of our store as it is now."""
    if read.generation != generation:
        read = Read(generation)
    alarms, highest_alarm = reader.alarms_after(read.alarms, ROWS_AT_ONCE)
    signals, highest_signal = reader.signals_after(read.signals, ROWS_AT_ONCE)
    return Stored(
        generation=generation,
        alarms=tuple(alarms),
        signals=tuple(signals),
        # Rows that went leave their numbers to others: who has read beyond the highest goes back.
        alarms_read=alarms[-1].id if alarms else min(read.alarms, highest_alarm),
        signals_read=signals[-1].id if signals else min(read.signals, highest_signal),
    )


def _recovered(row: KeptAlarm) -> RecoverAlarm:
    """Its own id and monotonic time are in no store."""
    alarm = Alarm(
        id=new_message_id(row.at_ms),
        source=row.source,
        boot=row.boot,
        seq=row.seq,
        at_ms=row.at_ms,
        mono_ms=0,
        alarm=row.alarm,
        subject=row.subject,
        severity=row.severity,
        active=row.active,
        text=row.text,
        code=row.code,
    )
    return RecoverAlarm(alarm, row.age_ms, row.received_ms)
