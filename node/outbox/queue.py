"""What the outbox decides: what to send next, what to keep, what to give up, and what to write to disk when.

No clock, no file, no thread: every method is told the time (monotonic milliseconds) and returns what is to be done.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from node.outbox.entry import Entry, Key, Limits, Reason
from node.outbox.ranges import Range, SeqRanges
from protocol.ids import BootId


@dataclass(frozen=True)
class Loss:
    """Messages of one boot that were given up for one reason."""

    boot: BootId
    reason: Reason
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class Batch:
    """One transaction. losses replace what is stored for the same boot and reason. low and high bound the numbers of
    `boot` whose fate the disk doesn't know: after a crash, those in between without a row are reported as lost."""

    inserts: tuple[Entry, ...]
    deletes: tuple[Key, ...]
    losses: tuple[Loss, ...]
    boot: BootId
    low: int
    high: int


class Queue:
    """Every message that is not yet acknowledged."""

    def __init__(self, boot: BootId, limits: Limits) -> None:
        self.boot = boot
        self.limits = limits
        self.acked = 0
        self.dropped = 0
        self._alive: dict[BootId, dict[int, Entry]] = {}
        self._count = 0
        self._next_order = 0
        self._high = 0
        self._ready: list[tuple[tuple[int, int], Entry]] = []
        self._in_flight: dict[Key, Entry] = {}
        self._latest: dict[str, Entry] = {}
        self._telemetry: dict[int, Entry] = {}
        self._telemetry_bytes = 0
        # What the disk doesn't know yet: durable entries that it refused, entries that may wait, rows to delete.
        self._unsafe: dict[int, Entry] = {}
        self._unwritten: dict[int, Entry] = {}
        self._doomed: dict[Key, int] = {}
        self._losses: dict[tuple[BootId, Reason], SeqRanges] = {}
        self._changed_losses: set[tuple[BootId, Reason]] = set()
        self._link_up = False
        self._disk_blocked_until_ms: int | None = None
        self._last_ack_ms: int | None = None
        self._last_gap_ms: int | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def backlog(self) -> int:
        """Messages that wait to be sent."""
        return self._count - len(self._in_flight)

    @property
    def sendable(self) -> bool:
        """Whether take() would return something."""
        while self._ready and self._ready[0][1].gone:
            heapq.heappop(self._ready)
        if not self._ready or not self._link_up:
            return False
        # A window full of telemetry that nobody acknowledges must not keep an alarm back.
        window = self.limits.window * (2 if self._ready[0][1].durable else 1)
        return len(self._in_flight) < window

    # What comes in

    def restore(self, entries: Iterable[Entry], losses: Iterable[Loss]) -> None:
        """Take what an earlier process left on disk, oldest first."""
        for loss in losses:
            self._losses[(loss.boot, loss.reason)] = SeqRanges(loss.ranges)
        for entry in entries:
            self.put(entry, 0)

    def put(self, entry: Entry, now_ms: int) -> None:
        """Keep a message. What it supersedes or displaces is given up and becomes a loss to report."""
        entry.order = self._next_order
        entry.since_ms = now_ms
        self._next_order += 1
        self._alive.setdefault(entry.boot, {})[entry.seq] = entry
        self._count += 1
        if entry.boot == self.boot:
            self._high = max(self._high, entry.seq)
        if not entry.on_disk:
            self._note_unwritten(entry)
        self._push(entry)
        if entry.delivery == "state":
            before = self._latest.get(entry.topic)
            self._latest[entry.topic] = entry
            # One that is on its way may arrive yet: it is given up only when it would have to be sent again.
            if before is not None and not before.in_flight:
                self._give_up(before, "superseded", now_ms)
        elif entry.delivery == "telemetry":
            self._telemetry[entry.order] = entry
            self._telemetry_bytes += entry.size_bytes
            self._thin(now_ms)
        self._compact()

    # What goes out

    def take(self, count: int, now_ms: int) -> list[Entry]:
        """The most urgent messages, as many as the window takes; each is in flight from now on."""
        taken: list[Entry] = []
        while len(taken) < count and self.sendable:
            entry = heapq.heappop(self._ready)[1]
            patience_ms = self.limits.resend_ms << min(entry.attempts, 16)
            entry.attempts += 1
            entry.due_ms = now_ms + min(patience_ms, self.limits.resend_longest_ms)
            entry.in_flight = True
            self._in_flight[entry.key] = entry
            taken.append(entry)
        return taken

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Messages that were taken and couldn't be sent."""
        for entry in entries:
            if not entry.gone and entry.in_flight:
                entry.attempts -= 1
                self._requeue(entry)

    def resend_overdue(self, now_ms: int) -> None:
        """Messages whose acknowledgement didn't come in time wait to be sent again."""
        for entry in [one for one in self._in_flight.values() if one.due_ms <= now_ms]:
            self._requeue_or_supersede(entry, now_ms)

    def set_link(self, up: bool, now_ms: int) -> None:
        """After a cut, everything unacknowledged is sent again, at once and with fresh patience."""
        self._link_up = up
        for entry in list(self._in_flight.values()):
            self._requeue_or_supersede(entry, now_ms)
        for _, entry in self._ready:
            entry.attempts = 0

    def ack(self, boot: BootId, ranges: Iterable[Range], now_ms: int) -> int:
        """The edge has stored these. Unknown and repeated numbers are ignored. Returns how many were new."""
        entries = self._alive.get(boot, {})
        if self._last_ack_ms is None or now_ms - self._last_ack_ms > self.limits.resend_ms:
            self._end_silence(now_ms)
        self._last_ack_ms = now_ms
        before = self.acked
        for first, last in ranges:
            if last - first < len(entries):
                hits = [entries[seq] for seq in range(first, last + 1) if seq in entries]
            else:  # a range far wider than all that we hold, from a confused peer
                hits = [entry for seq, entry in entries.items() if first <= seq <= last]
            for entry in hits:
                self._remove(entry, now_ms)
            self.acked += len(hits)
        return self.acked - before

    def give_up(self, entry: Entry, reason: Reason, now_ms: int) -> None:
        if not entry.gone:
            self._give_up(entry, reason, now_ms)

    # Losses

    @property
    def owes_a_report(self) -> bool:
        return bool(self._losses)

    def losses_due(self, now_ms: int) -> bool:
        """Whether to report now: not too often, and only while somebody listens who will acknowledge."""
        if not self._losses or not self._link_up:
            return False
        if self._last_gap_ms is not None and now_ms - self._last_gap_ms < self.limits.gap_every_ms:
            return False
        heard = self._last_ack_ms is not None and now_ms - self._last_ack_ms < 2 * self.limits.resend_ms
        return heard or self._count == 0

    def take_losses(self, now_ms: int) -> list[Loss]:
        """Losses to report, each small enough for one message; whoever takes them must report them."""
        taken = [
            Loss(boot, reason, found)
            for (boot, reason), lost in self._losses.items()
            if (found := lost.take(self.limits.gap_ranges))
        ]
        self._changed_losses.update((loss.boot, loss.reason) for loss in taken)
        self._losses = {key: lost for key, lost in self._losses.items() if len(lost)}
        # What didn't fit is due at once.
        self._last_gap_ms = None if self._losses else now_ms
        return taken

    # The disk

    def plan(self, now_ms: int, *, durable: Iterable[Entry] = (), everything: bool = False) -> Batch | None:
        """The next transaction: for messages that must be durable now, or once enough has gathered, or None."""
        blocked = self._disk_blocked_until_ms is not None and now_ms < self._disk_blocked_until_ms
        inserts = tuple(durable)
        if not inserts and not everything and (blocked or not self._write_due(now_ms)):
            return None
        inserts += tuple(self._unsafe.values())
        if everything or self._spill_due(now_ms):
            inserts += tuple(self._unwritten.values())
        highest = max((entry.seq for entry in inserts if entry.boot == self.boot), default=0)
        high = max(self._high, highest)
        # Numbers are given out in order, give or take a few threads: the first few entries hold the lowest.
        low = min(islice(self._alive.get(self.boot, {}), 64), default=high + 1)
        return Batch(
            inserts=inserts,
            deletes=tuple(self._doomed),
            losses=tuple(Loss(*key, self._ranges_of(key)) for key in self._changed_losses),
            boot=self.boot,
            # When everything is on disk there is nothing left to wonder about.
            low=high + 1 if everything else min(low, highest or low),
            high=high,
        )

    def written(self, batch: Batch, now_ms: int) -> None:
        """The transaction is on disk."""
        self._disk_blocked_until_ms = None
        for key in batch.deletes:
            self._doomed.pop(key, None)
        for loss in batch.losses:
            if self._ranges_of((loss.boot, loss.reason)) == loss.ranges:
                self._changed_losses.discard((loss.boot, loss.reason))
        for entry in batch.inserts:
            entry.on_disk = True
            self._unsafe.pop(entry.order, None)
            self._unwritten.pop(entry.order, None)
            if entry.gone:  # acknowledged meanwhile
                self._doomed.setdefault(entry.key, now_ms)
            elif not (self._link_up or entry.in_flight):
                entry.payload = None

    def write_failed(self, now_ms: int) -> None:
        """The disk refused: alarms wait in memory, telemetry there is held to a smaller bound."""
        self._disk_blocked_until_ms = now_ms + self.limits.retry_disk_ms
        waiting = [entry for entry in self._unwritten.values() if entry.delivery == "telemetry" and not entry.in_flight]
        for entry in waiting[: max(0, len(waiting) - self.limits.memory_messages)]:
            self._give_up(entry, "disk-full", now_ms)

    def disk_lost(self, now_ms: int) -> None:
        """The file was damaged and set aside: what memory still has must be written again, the rest is lost."""
        self._doomed.clear()
        self._changed_losses = set(self._losses)
        for entry in [one for entries in self._alive.values() for one in entries.values() if one.on_disk]:
            entry.on_disk = False
            if entry.payload is None:
                self._give_up(entry, "corrupt", now_ms)
            else:
                self._note_unwritten(entry)

    # Inside

    def _note_unwritten(self, entry: Entry) -> None:
        (self._unsafe if entry.durable else self._unwritten)[entry.order] = entry

    def _ranges_of(self, key: tuple[BootId, Reason]) -> tuple[Range, ...]:
        lost = self._losses.get(key)
        return lost.ranges() if lost is not None else ()

    def _write_due(self, now_ms: int) -> bool:
        if self._unsafe or self._spill_due(now_ms):
            return True
        oldest_ms = next(iter(self._doomed.values()), now_ms)
        return len(self._doomed) >= self.limits.delete_messages or now_ms - oldest_ms >= self.limits.delete_after_ms

    def _spill_due(self, now_ms: int) -> bool:
        if not self._link_up and len(self._unwritten) >= self.limits.spill_messages:
            return True
        oldest = next(iter(self._unwritten.values()), None)
        return oldest is not None and now_ms - oldest.since_ms >= self.limits.spill_after_ms

    def _push(self, entry: Entry) -> None:
        heapq.heappush(self._ready, (entry.urgency, entry))

    def _requeue(self, entry: Entry) -> None:
        entry.in_flight = False
        del self._in_flight[entry.key]
        self._push(entry)

    def _end_silence(self, now_ms: int) -> None:
        """The edge is back: what was sent into the silence again and again needn't wait out its patience."""
        for entry in self._in_flight.values():
            if entry.attempts > 1:
                entry.attempts = 0
                entry.due_ms = now_ms

    def _requeue_or_supersede(self, entry: Entry, now_ms: int) -> None:
        self._requeue(entry)
        if entry.on_disk:
            entry.payload = None
        if entry.delivery == "state" and self._latest.get(entry.topic) is not entry:
            self._give_up(entry, "superseded", now_ms)

    def _remove(self, entry: Entry, now_ms: int) -> None:
        entry.gone = True
        self._count -= 1
        self._in_flight.pop(entry.key, None)
        self._unsafe.pop(entry.order, None)
        self._unwritten.pop(entry.order, None)
        entries = self._alive[entry.boot]
        del entries[entry.seq]
        if not entries:
            del self._alive[entry.boot]
        if self._latest.get(entry.topic) is entry:
            del self._latest[entry.topic]
        if self._telemetry.pop(entry.order, None) is not None:
            self._telemetry_bytes -= entry.size_bytes
        if entry.on_disk:
            self._doomed[entry.key] = now_ms

    def _give_up(self, entry: Entry, reason: Reason, now_ms: int) -> None:
        self._remove(entry, now_ms)
        self.dropped += 1
        self._losses.setdefault((entry.boot, reason), SeqRanges()).add(entry.seq, entry.seq)
        self._changed_losses.add((entry.boot, reason))

    def _thin(self, now_ms: int) -> None:
        """Of the oldest half, every second message goes, until the bounds hold: old times keep a coarser picture."""
        while (
            len(self._telemetry) > self.limits.telemetry_messages or self._telemetry_bytes > self.limits.telemetry_bytes
        ):
            waiting = [entry for entry in self._telemetry.values() if not entry.in_flight]
            if not waiting:
                return
            for entry in waiting[: (len(waiting) + 1) // 2 : 2]:
                self._give_up(entry, "thinned", now_ms)

    def _compact(self) -> None:
        """Given-up entries stay in the heap until they surface; don't let them pile up."""
        if len(self._ready) > 2 * self._count + 64:
            self._ready = [item for item in self._ready if not item[1].gone]
            heapq.heapify(self._ready)
