"""The outbox: thread-safe, durable where it must be."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from node.clock import Clock
from node.errors import OutboxDiskFull
from node.outbox.entry import Delivery, Entry, Limits
from node.outbox.queue import Loss, Queue
from node.outbox.ranges import Range
from node.outbox.store import OutboxStore
from node.sqlite import is_damage
from protocol.errors import KinflowError
from protocol.ids import BootId

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutboxMetrics:
    """queued: waiting to be sent; in_flight: sent and not yet acknowledged. set_aside: damaged files so far."""

    queued: int
    in_flight: int
    acked: int
    dropped: int
    disk_commits: int
    disk_bytes: int
    set_aside: int


class Outbox:
    """Keeps messages until the edge acknowledges them; without a store it keeps them in memory alone.

    put() returns after the message is as safe as its class asks for. Somebody else (the link) takes messages out, sends
    them and calls acked(). Locks: `_disk` around the file, `_changed` around the queue; never the first inside the
    second, so that telemetry doesn't wait for an SD card.
    """

    def __init__(self, boot: BootId, clock: Clock, store: OutboxStore | None, limits: Limits | None = None) -> None:
        self.boot = boot
        self.fault: KinflowError | None = None
        self._clock = clock
        self._store = store
        self._queue = Queue(boot, limits or Limits())
        self._disk = threading.Lock()
        self._changed = threading.Condition()
        self._closed = False
        if store is not None:
            self._queue.restore(*store.restore(boot))

    def put(self, delivery: Delivery, topic: str, seq: int, payload: bytes, wait: bool = False) -> bool:
        """Keep one message. Returns False when more is waiting than one window: hold back, or the oldest telemetry
        will be thinned. With `wait` it first waits until that is not so. After close() nothing is kept (False).
        """
        entry = Entry(self.boot, seq, delivery, topic, payload, len(payload))
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or not self._pressed())
        if entry.durable:
            self._write([entry])
        with self._changed:
            if self._closed:
                return False
            self._queue.put(entry, self._clock.monotonic_ms())
            self._changed.notify_all()
            return not self._pressed()

    def take(self, count: int) -> list[Entry]:
        """The next messages to send, with payloads. Each must be sent or given back."""
        with self._changed:
            taken = self._queue.take(count, self._clock.monotonic_ms())
            missing = [entry.key for entry in taken if entry.payload is None]
        if missing:
            self._load(taken)
        return [entry for entry in taken if entry.payload is not None]

    def give_back(self, entries: list[Entry]) -> None:
        with self._changed:
            self._queue.give_back(entries)

    def acked(self, boot: BootId, ranges: tuple[Range, ...]) -> int:
        """The edge has these messages in its store. Returns how many of them were still here."""
        with self._changed:
            count = self._queue.ack(boot, ranges, self._clock.monotonic_ms())
            self._changed.notify_all()
            return count

    def set_link(self, up: bool) -> None:
        with self._changed:
            self._queue.set_link(up, self._clock.monotonic_ms())
            self._changed.notify_all()

    def wait_sendable(self, seconds: float) -> bool:
        """Wait until there is something to send, at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._queue.sendable, seconds)

    def wait_empty(self, seconds: float) -> bool:
        """Wait until everything is acknowledged, at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._queue) == 0, seconds)

    def tick(self, report: Callable[[Loss], tuple[int, str, bytes]]) -> None:
        """What time brings: messages to send again, rows to write or delete, losses to report.

        report turns a loss into a Gap message: its sequence number, topic and payload.
        """
        with self._changed:
            now_ms = self._clock.monotonic_ms()
            self._queue.resend_overdue(now_ms)
            losses = self._queue.take_losses(now_ms) if self._queue.losses_due(now_ms) else []
        gaps = [self._gap(*report(loss)) for loss in losses]
        self._write(gaps)
        with self._changed:
            for gap in gaps:
                self._queue.put(gap, self._clock.monotonic_ms())

    def close(self) -> None:
        """Write all that only memory holds, and close the file."""
        self._write([], everything=True)
        with self._disk, self._changed:
            store, self._store = self._store, None
            self._closed = True
            self._changed.notify_all()
        if store is not None:
            store.close()

    @property
    def owes_a_report(self) -> bool:
        """Whether something was given up that no Gap has told of yet."""
        with self._changed:
            return self._queue.owes_a_report

    @property
    def metrics(self) -> OutboxMetrics:
        with self._changed:
            store = self._store
            return OutboxMetrics(
                queued=self._queue.backlog,
                in_flight=self._queue.in_flight,
                acked=self._queue.acked,
                dropped=self._queue.dropped,
                disk_commits=store.commits if store is not None else 0,
                disk_bytes=store.disk_bytes if store is not None else 0,
                set_aside=len(store.set_aside) if store is not None else 0,
            )

    def _pressed(self) -> bool:
        return self._queue.backlog >= self._queue.limits.window

    def _gap(self, seq: int, topic: str, payload: bytes) -> Entry:
        return Entry(self.boot, seq, "gap", topic, payload, len(payload))

    def _write(self, durable: list[Entry], everything: bool = False) -> None:
        """Bring the file up to date, with `durable` in it, as far as it is due."""
        store = self._store
        if store is None:
            return
        with self._disk:
            for attempt in (1, 2):
                with self._changed:
                    batch = self._queue.plan(self._clock.monotonic_ms(), durable=durable, everything=everything)
                if batch is None:
                    return
                try:
                    store.apply(batch)
                except sqlite3.Error as error:
                    if attempt == 1 and is_damage(error) and self._replace(store):
                        continue
                    self._refused(store, error)
                else:
                    with self._changed:
                        self._queue.written(batch, self._clock.monotonic_ms())
                    self._note_fault(None)
                return

    def _load(self, taken: list[Entry]) -> None:
        """Read the payloads that only the disk holds. What can't be read stays in flight, and is tried again when it is
        overdue; what has no row any more is a loss."""
        store = self._store
        if store is None:
            return
        with self._disk:
            try:
                found = store.payloads([entry.key for entry in taken if entry.payload is None])
            except sqlite3.Error as error:
                if not (is_damage(error) and self._replace(store)):
                    self._refused(store, error)
                return
        with self._changed:
            for entry in taken:
                if entry.payload is None:
                    entry.payload = found.get(entry.key)
                if entry.payload is None:
                    self._queue.give_up(entry, "corrupt", self._clock.monotonic_ms())

    def _replace(self, store: OutboxStore) -> bool:
        """Begin a fresh file in place of a damaged one; False when the disk refuses even that."""
        try:
            store.replace_damaged()
        except (sqlite3.Error, OSError):
            return False
        with self._changed:
            self._queue.disk_lost(self._clock.monotonic_ms())
        return True

    def _refused(self, store: OutboxStore, error: sqlite3.Error) -> None:
        with self._changed:
            self._queue.write_failed(self._clock.monotonic_ms())
        self._note_fault(OutboxDiskFull(path=store.path, detail=str(error)))

    def _note_fault(self, fault: KinflowError | None) -> None:
        """Say it once when it begins and once when it is over."""
        if fault is not None and self.fault is None:
            log.error("%s", fault)
        elif fault is None and self.fault is not None:
            log.info("the outbox can be written again")
        self.fault = fault
