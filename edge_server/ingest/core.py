"""What a message means for the store: a function of what has been received before. No clock, no socket, no file.

Law: in whatever order messages come, however often, and across restarts, each (source, boot, seq) is stored once; and
the numbers that neither came nor were given up by their device are the ones reported as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from edge_server.ingest import ranges
from edge_server.ingest.device_clock import DeviceClock, observe
from edge_server.ingest.effects import (
    Acknowledge,
    Effect,
    GapExplained,
    GapWithdrawn,
    HealthSeen,
    MissingChanged,
    RecoverAlarm,
    Remember,
    StoreAlarm,
    StoreObservation,
    Tally,
    VehicleSeen,
)
from edge_server.ingest.ranges import Ranges
from protocol.ids import BootId, CameraId, DeviceId
from protocol.messages import Alarm, Birth, Gap, Health, Message, Observation, VehiclePosition

# A number that does not come is reported only when it has been missing for this long: resending takes a while.
MISSING_AFTER_MS = 30_000
# An observation older than this is history.
LIVE_MS = 2_000
# Beyond these, the oldest is forgotten; the store's own unique keys still keep everything single.
LIMIT_RANGES = 1_000
LIMIT_BOOTS = 8
LIMIT_RETIRED = 1_000

Key = tuple[DeviceId, BootId]


class Arrival(Struct, frozen=True):
    """A message as it came, by our wall clock and our monotonic clock, in milliseconds."""

    message: Message
    received_ms: int
    received_mono_ms: int
    retained: bool = False


class Boot(Struct, frozen=True):
    """What is known of one run of one device. Numbers up to `floor` are forgotten; `explained` ones were given up by
    the device; `reported` ones are on record as missing; suspected: what was missing below .[0] at time .[1]."""

    floor: int = 0
    highest: int = 0
    received: Ranges = ()
    explained: Ranges = ()
    reported: Ranges = ()
    suspected: tuple[int, int] | None = None
    clock: DeviceClock | None = None
    newest_capture: tuple[tuple[CameraId, int], ...] = ()
    heard_ms: int = 0

    def missing(self) -> Ranges:
        span: Ranges = ((max(1, self.floor + 1), self.highest),) if self.highest > self.floor else ()
        return ranges.subtract(ranges.subtract(span, self.received), self.explained)

    def complete(self) -> bool:
        """Quick form of `not missing() and not reported`."""
        return not self.reported and (
            self.highest <= self.floor or (len(self.received) == 1 and self.received[0][0] <= self.floor + 1)
        )


class State(Struct, frozen=True):
    """known: each device's boots in `boots`, in the order of their first message. current: the one that it was last
    born with. retired: those too old to keep account of."""

    boots: Mapping[Key, Boot] = {}
    known: Mapping[DeviceId, tuple[BootId, ...]] = {}
    current: Mapping[DeviceId, BootId] = {}
    retired: Mapping[DeviceId, tuple[BootId, ...]] = {}


def absorb(state: State, arrivals: Sequence[Arrival]) -> tuple[State, list[Effect]]:
    """Take a batch in. Every arrival that is accounted for is acknowledged, a repeated one again."""
    work = _Batch(state)
    for arrival in arrivals:
        work.take(arrival)
    return work.finish()


def tick(state: State, now_ms: int, now_mono_ms: int) -> tuple[State, list[Effect]]:
    """Report what has been missing for long enough."""
    changed: dict[Key, Boot] = {}
    effects: list[Effect] = []
    for key, boot in state.boots.items():
        if boot.complete():
            continue
        if boot.suspected is None:
            if ranges.subtract(boot.missing(), boot.reported):
                changed[key] = replace(boot, suspected=(boot.highest, now_mono_ms))
            continue
        below, since_ms = boot.suspected
        if now_mono_ms - since_ms >= MISSING_AFTER_MS:
            overdue = ranges.intersect(boot.missing(), ((0, below),))
            reported = ranges.union(boot.reported, overdue)
            if reported != boot.reported:
                fresh = ranges.count(ranges.subtract(reported, boot.reported))
                effects.append(MissingChanged(*key, reported, fresh, now_ms))
            changed[key] = replace(boot, reported=reported, suspected=None)
    if not changed:
        return state, []
    effects.extend(Remember(*key, boot) for key, boot in changed.items() if boot.reported != state.boots[key].reported)
    return replace(state, boots={**state.boots, **changed}), effects


def recover(state: State, found: Sequence[RecoverAlarm]) -> tuple[State, list[Effect]]:
    """Take in what the other edge server of a pair has stored. It makes nothing count as missing that did not before:
    what lies below went to the other one too. Of a boot that we keep no account of the store itself tells what is
    there already."""
    boots = dict(state.boots)
    effects: list[Effect] = []
    touched: dict[Key, None] = {}
    for one in found:
        key, seq = (one.alarm.source, one.alarm.boot), one.alarm.seq
        boot = boots.get(key)
        if boot is not None and seq > boot.floor:
            if ranges.contains(boot.received, seq):
                continue
            number = ((seq, seq),)
            if ranges.contains(boot.explained, seq):
                effects.append(GapWithdrawn(*key, seq))
            reported = ranges.subtract(boot.reported, number)
            if reported != boot.reported:
                effects.append(MissingChanged(*key, reported, 0, one.received_ms))
            boots[key] = replace(
                boot,
                received=ranges.add(boot.received, seq),
                explained=ranges.subtract(boot.explained, number),
                reported=reported,
            )
            touched[key] = None
        effects.append(one)
    effects.extend(Remember(*key, boots[key]) for key in touched)
    return replace(state, boots=boots), effects


class _Batch:
    """Mutable for the length of one batch, so that a batch copies the tables once and not once a message."""

    def __init__(self, state: State) -> None:
        self.boots = dict(state.boots)
        self.known = dict(state.known)
        self.current = dict(state.current)
        self.retired = dict(state.retired)
        self.effects: list[Effect] = []
        self.numbers: dict[Key, list[int]] = {}
        self.touched: dict[Key, None] = {}
        self.repeated = 0

    def take(self, arrival: Arrival) -> None:
        message = arrival.message
        key = (message.source, message.boot)
        if isinstance(message, Birth):
            self._born(key, arrival)
            return
        if not isinstance(message, Alarm | Observation | Health | VehiclePosition | Gap):
            return
        self.numbers.setdefault(key, []).append(message.seq)
        if message.boot in self.retired.get(message.source, ()):
            self._keep(message, arrival, None, live=False)
            return
        boot = self._boot(key)
        if ranges.contains(boot.received, message.seq):
            self.repeated += 1
            if message.seq > boot.highest:  # the other edge server of a pair had it before us
                self.boots[key] = replace(boot, highest=message.seq)
                self.touched[key] = None
            return
        self.boots[key] = boot = self._receive(key, boot, arrival)
        self.touched[key] = None
        self._keep(message, arrival, boot.clock, self._live(message, arrival, boot))

    def finish(self) -> tuple[State, list[Effect]]:
        for key in self.touched:
            if key in self.boots and len(self.boots[key].received) > LIMIT_RANGES:
                self._forget_lowest(key)
        for source in {source for source, _ in self.touched}:
            self._retire(source)
        self.effects.extend(Remember(*key, self.boots[key]) for key in self.touched if key in self.boots)
        for (source, boot), numbers in self.numbers.items():
            merged = ranges.union(((number, number) for number in numbers), ())
            self.effects.append(Acknowledge(source, boot, merged))
        accounted = sum(map(len, self.numbers.values()))
        if accounted:
            self.effects.append(Tally(accounted - self.repeated, self.repeated))
        return State(self.boots, self.known, self.current, self.retired), self.effects

    def _born(self, key: Key, arrival: Arrival) -> None:
        self.current[key[0]] = key[1]
        if key in self.boots or not arrival.retained:
            boot = self._boot(key)
            if not arrival.retained:
                clock = observe(boot.clock, arrival.message.mono_ms, arrival.received_mono_ms, fresh=True)
                self.boots[key] = replace(boot, clock=clock, heard_ms=arrival.received_ms)

    def _boot(self, key: Key) -> Boot:
        boot = self.boots.get(key)
        if boot is None:
            boot = self.boots[key] = Boot()
            self.known[key[0]] = (*self.known.get(key[0], ()), key[1])
            self.touched[key] = None
        return boot

    def _receive(self, key: Key, boot: Boot, arrival: Arrival) -> Boot:
        message, seq = arrival.message, arrival.message.seq
        explained, reported = boot.explained, boot.reported
        if explained and ranges.contains(explained, seq):
            explained = ranges.subtract(explained, ((seq, seq),))
            self.effects.append(GapWithdrawn(*key, seq))
        if reported and ranges.contains(reported, seq):
            reported = ranges.subtract(reported, ((seq, seq),))
            self.effects.append(MissingChanged(*key, reported, 0, arrival.received_ms))
        return Boot(
            boot.floor,
            max(boot.highest, seq),
            ranges.add(boot.received, seq) if seq > boot.floor else boot.received,
            explained,
            reported,
            boot.suspected,
            observe(boot.clock, message.mono_ms, arrival.received_mono_ms),
            _with_capture(boot.newest_capture, message),
            arrival.received_ms,
        )

    def _live(self, message: Message, arrival: Arrival, boot: Boot) -> bool:
        """Only the boot that the device was born with can be live: an earlier one's messages lay in its outbox."""
        clock = boot.clock
        return (
            clock is not None
            and self.current.get(message.source) == message.boot
            and clock.settled(arrival.received_mono_ms)
            and clock.age_ms(message.mono_ms, arrival.received_mono_ms) <= LIVE_MS
        )

    def _keep(self, message: Message, arrival: Arrival, clock: DeviceClock | None, live: bool) -> None:
        received_ms = arrival.received_ms
        age_ms = clock.age_ms(message.mono_ms, arrival.received_mono_ms) if clock else 0
        match message:
            case Observation():
                boot = self.boots.get((message.source, message.boot))
                newest = boot is not None and (message.camera, message.captured_mono_ms) in boot.newest_capture
                self.effects.append(
                    StoreObservation(message, age_ms, live and newest, received_ms, arrival.received_mono_ms)
                )
            case Alarm():
                self.effects.append(StoreAlarm(message, age_ms, received_ms))
            case Health():
                self.effects.append(HealthSeen(message, age_ms, received_ms))
            case VehiclePosition():
                self.effects.append(VehicleSeen(message, age_ms, received_ms))
            case Gap():
                self._explain(message, received_ms)

    def _explain(self, gap: Gap, received_ms: int) -> None:
        key = (gap.source, gap.gap_boot)
        given_up = ranges.union(gap.ranges, ())
        if gap.gap_boot in self.retired.get(gap.source, ()):
            self.effects.append(GapExplained(*key, given_up, gap.reason, received_ms))
            return
        boot = self._boot(key)
        fresh = ranges.subtract(ranges.subtract(given_up, boot.received), boot.explained)
        fresh = ranges.subtract(fresh, ((0, boot.floor),))
        if not fresh:
            return
        self.effects.append(GapExplained(*key, fresh, gap.reason, received_ms))
        reported = ranges.subtract(boot.reported, fresh)
        if reported != boot.reported:
            self.effects.append(MissingChanged(*key, reported, 0, received_ms))
        self.boots[key] = replace(boot, explained=ranges.union(boot.explained, fresh), reported=reported)
        self.touched[key] = None

    def _forget_lowest(self, key: Key) -> None:
        """Keep the upper half of the ranges. What is missing below is on record first."""
        boot = self.boots[key]
        floor = boot.received[len(boot.received) // 2][0] - 1
        below: Ranges = ((0, floor),)
        reported = ranges.union(boot.reported, ranges.intersect(boot.missing(), below))
        if reported != boot.reported:
            fresh = ranges.count(ranges.subtract(reported, boot.reported))
            self.effects.append(MissingChanged(*key, reported, fresh, boot.heard_ms))
        self.boots[key] = replace(
            boot,
            floor=floor,
            received=ranges.subtract(boot.received, below),
            explained=ranges.subtract(boot.explained, below),
            reported=reported,
        )

    def _retire(self, source: DeviceId) -> None:
        """Close the account of the oldest boots, but never of the current one."""
        while len(self.known.get(source, ())) > LIMIT_BOOTS:
            oldest = next(boot for boot in self.known[source] if boot != self.current.get(source))
            boot = self.boots.pop((source, oldest))
            self.known[source] = tuple(one for one in self.known[source] if one != oldest)
            self.retired[source] = (*self.retired.get(source, ()), oldest)[-LIMIT_RETIRED:]
            lost = ranges.union(boot.reported, boot.missing())
            if lost != boot.reported:
                fresh = ranges.count(ranges.subtract(lost, boot.reported))
                self.effects.append(MissingChanged(source, oldest, lost, fresh, boot.heard_ms))
            self.effects.append(Remember(source, oldest, None))


def _with_capture(newest: tuple[tuple[CameraId, int], ...], message: Message) -> tuple[tuple[CameraId, int], ...]:
    if not isinstance(message, Observation):
        return newest
    for camera, captured in newest:
        if camera == message.camera:
            if captured >= message.captured_mono_ms:
                return newest
            return (*(one for one in newest if one[0] != camera), (camera, message.captured_mono_ms))
    return (*newest, (message.camera, message.captured_mono_ms))
