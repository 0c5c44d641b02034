"""The law of ingest, against the real store: any order, any repetition, any restart."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from edge_server.ingest import core
from edge_server.ingest.core import Arrival, State, absorb, tick
from edge_server.ingest.effects import Acknowledge
from edge_server.store import ingested, migrations
from edge_server.store.file import open_store
from node.clock import ManualClock
from protocol.ids import BootId, DeviceId, new_message_id
from protocol.messages import Alarm, Gap, Health, Message

SOURCES = [DeviceId("cam-1"), DeviceId("cam-2")]
BOOTS = [BootId("a" * 16), BootId("b" * 16)]
HIGHEST = 7
MOST_FAILURES = 5
RUNS = [(SOURCES[0], BOOTS[0]), (SOURCES[0], BOOTS[1]), (SOURCES[1], BOOTS[0])]


def alarm(source: DeviceId, boot: BootId, seq: int) -> Alarm:
    return Alarm(
        id=new_message_id(1), source=source, boot=boot, seq=seq, at_ms=1, mono_ms=seq,
        alarm="camera-stalled", subject=source, severity="warning", active=True, text=f"{boot[0]}{seq}",
    )  # fmt: skip


def health(source: DeviceId, boot: BootId, seq: int) -> Health:
    return Health(
        id=new_message_id(1), source=source, boot=boot, seq=seq, at_ms=1, mono_ms=seq,
        uptime_s=1.0, rss_mb=1.0, cpu_percent=1.0, disk_free_mb=1.0,
    )  # fmt: skip


def gap(source: DeviceId, boot: BootId, seq: int, of: BootId, given_up: int) -> Gap:
    return Gap(
        id=new_message_id(1), source=source, boot=boot, seq=seq, at_ms=1, mono_ms=seq,
        gap_boot=of, ranges=((given_up, given_up),), reason="thinned",
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Message], set[tuple[str, str, int]]]:
    """Messages as they come (lost, repeated, in any order) and the numbers that were given up."""
    numbered: list[Message] = []
    given_up: set[tuple[str, str, int]] = set()
    for source, boot in RUNS:
        for seq in range(1, draw(st.integers(0, HIGHEST)) + 1):
            kind = draw(st.sampled_from(["alarm", "alarm", "health", "gap", "lost"]))
            if kind == "alarm":
                numbered.append(alarm(source, boot, seq))
            elif kind == "health":
                numbered.append(health(source, boot, seq))
            elif kind == "gap":
                of, number = draw(st.sampled_from(BOOTS)), draw(st.integers(1, HIGHEST + 3))
                numbered.append(gap(source, boot, seq, of, number))
                given_up.add((source, of, number))
    repeated = draw(st.lists(st.sampled_from(numbered), max_size=10)) if numbered else []
    return draw(st.permutations(numbered + repeated)), given_up


def reopen(path: Path) -> sqlite3.Connection:
    """The real schema; a restart is played, no power cut, so nothing has to reach the disk."""
    connection = open_store(path).connection if path.exists() else sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    if not connection.execute("PRAGMA user_version").fetchone()[0]:
        for step in migrations.steps():
            step(Database(connection))
        connection.execute(f"PRAGMA user_version = {len(migrations.steps())}")
    return connection


def commit(connection: sqlite3.Connection, state: State, effects: list[core.Effect]) -> State:
    connection.execute("BEGIN")
    ingested.write(connection, effects)
    connection.execute("COMMIT")
    return state


def numbers_of(rows: list[tuple[str, str, int, int]]) -> set[tuple[str, str, int]]:
    return {(source, boot, seq) for source, boot, first, last in rows for seq in range(first, last + 1)}


@settings(max_examples=40, deadline=None)
@given(histories(), st.data())
def test_each_message_is_stored_once_and_what_is_missing_is_on_record(
    history: tuple[list[Message], set[tuple[str, str, int]]], data: st.DataObject
) -> None:
    messages, given_up = history
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edge.db"
        connection = reopen(path)
        state = State()
        acknowledged: set[tuple[str, str, int]] = set()
        failures = 0
        while messages:
            size = data.draw(st.integers(min(3, len(messages)), len(messages)))
            batch, messages = messages[:size], messages[size:]
            clock.advance(data.draw(st.sampled_from([1, core.MISSING_AFTER_MS])))
            arrivals = [Arrival(one, clock.wall_ms(), clock.monotonic_ms()) for one in batch]
            after, effects = absorb(state, arrivals)
            # A store that fails for ever proves nothing, and takes as long.
            if failures == MOST_FAILURES or data.draw(st.booleans(), label="commit"):
                state = commit(connection, after, effects)
                acknowledged |= numbers_of([
                    (one.source, one.boot, *piece)
                    for one in effects if isinstance(one, Acknowledge) for piece in one.ranges
                ])  # fmt: skip
            else:
                failures += 1
                messages = messages + batch
            state = commit(connection, *tick(state, clock.wall_ms(), clock.monotonic_ms()))
            if data.draw(st.booleans(), label="restart"):
                connection.close()
                connection = reopen(path)
                state = ingested.recall(connection)
        # One ends a suspicion that stood, one begins the last, one reports it.
        for _ in range(3):
            clock.advance(core.MISSING_AFTER_MS)
            state = commit(connection, *tick(state, clock.wall_ms(), clock.monotonic_ms()))

        sent = list(history[0])
        received = {(one.source, one.boot, one.seq) for one in sent}
        alarms = [(one.source, one.boot, one.seq) for one in sent if isinstance(one, Alarm)]
        stored = connection.execute("SELECT source, boot, seq FROM alarms").fetchall()
        assert sorted(stored) == sorted(set(alarms))
        assert acknowledged == received

        highest: dict[tuple[str, str], int] = {}
        for source, boot, seq in received:
            highest[source, boot] = max(seq, highest.get((source, boot), 0))
        numbered = {(*boot, seq) for boot, last in highest.items() for seq in range(1, last + 1)}
        explained = connection.execute(
            "SELECT source, boot, first, last FROM gaps WHERE reason <> 'missing'"
        ).fetchall()
        missing = connection.execute("SELECT source, boot, first, last FROM gaps WHERE reason = 'missing'").fetchall()
        assert numbers_of(explained) == given_up - received
        assert numbers_of(missing) == numbered - received - given_up
        connection.close()
