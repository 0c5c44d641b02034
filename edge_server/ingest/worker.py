"""The one thread that writes: batch, decide, commit, publish, acknowledge."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

import structlog

from edge_server.bus import Bus
from edge_server.errors import ClockAhead, SecondEdgeServer, Shedding, StoreQuarantined, StoreUnwritable
from edge_server.events import AlarmReceived, DiskStage, Logged
from edge_server.fleet.device import Device
from edge_server.fleet.registry import Left, Removed, SecondEdge, restored
from edge_server.ingest import disk_alarm
from edge_server.ingest import outcome as decide
from edge_server.ingest.acks import Acks
from edge_server.ingest.core import Arrival, State
from edge_server.ingest.effects import Acknowledge, RecoverAlarm, Tally
from edge_server.ingest.figures import IngestFigures
from edge_server.ingest.giving_up import without_readings
from edge_server.ingest.inbox import Cleared, Inbox, Job, Recovered, Reject
from edge_server.ingest.outcome import Memory, Outcome
from edge_server.ingest.receiver import Receiver
from edge_server.ingest.shedding import SheddingWatch
from edge_server.store.calendar import HOUR_MS
from edge_server.store.disk import Disk
from edge_server.store.reader import is_latest
from edge_server.store.retention import Limits
from edge_server.store.room import NO_STAGES, Marks
from edge_server.store.store import Store, write_devices, write_effects, write_lines, write_rejects
from node.identity import Identity
from node.sqlite import is_damage, is_full
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages import Alarm, Health, Observation, VehiclePosition
from protocol.messages.alarm import Severity

T = TypeVar("T")
BATCH = 2_000
LINGER_S = 0.01
TICK_MS = 1_000
PROBE_MS = 2_000
REPLACE_EVERY_MS = 60_000

log = structlog.get_logger("edge.ingest")


class IngestWorker:
    """Owns the writing side of the store and the state of ingest and fleet; others read snapshots.

    Nothing is acknowledged before its commit, and of a batch that could not be committed no state is kept: its devices
    still have it and send it again. While the disk is full alarms are tried alone, observations still reach the
    signals, and the whole is tried again every PROBE_MS. What is stored while the disk fills stands in
    edge_server/store/room.py.
    """

    def __init__(  # noqa: PLR0917 (the parts that it joins)
        self,
        store: Store,
        inbox: Inbox,
        receiver: Receiver,
        acks: Acks,
        bus: Bus,
        identity: Identity,
        *,
        limits: Limits,
        marks: Marks = NO_STAGES,
        peer: DeviceId | None = None,
        broker_dropped: Callable[[], int] = lambda: 0,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._receiver = receiver
        self._acks = acks
        self._bus = bus
        self._identity = identity
        self._clock = identity.clock
        self._limits = limits
        self._broker_dropped = broker_dropped
        self._beat = beat
        stored = store.reader.devices()
        self._memory = Memory(store.recall(), restored(identity.device, identity.boot, stored, peer))
        self._own: list[Arrival] = []
        # Who was online when we ended may never come again, and who reads the store is to see that too.
        stale = [one.device for one in stored if one.state != "offline"]
        self._unwritten: dict[DeviceId, Device | None] = {one: self._memory.fleet.devices[one] for one in stale}
        self._probe_at_mono_ms: int | None = None
        self._replace_again_mono_ms = 0
        self._ticked_at_mono_ms = 0
        self._stored = self._unstored = self._repeated = self._commits = 0
        self._disk = Disk(store.path, marks)
        self._given_up = self._given_up_before = 0
        self._calendar = store.calendar(self._clock.wall_ms(), self._clock.monotonic_ms())
        self._shedding = SheddingWatch()
        self._second_edges: set[DeviceId] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    @property
    def devices(self) -> Mapping[DeviceId, Device]:
        return self._memory.fleet.devices

    def figures(self) -> IngestFigures:
        return IngestFigures(
            received=self._receiver.received,
            stored=self._stored,
            duplicates=self._repeated,
            shed=self._inbox.shed + self._unstored,
            commits=self._commits,
            held_off=self._inbox.held_off,
            broker_dropped=self._broker_dropped(),
            waiting=len(self._inbox),
            shedding=self._shedding.active,
            disk_full=self._probe_at_mono_ms is not None,
            disk=self._disk.stage,
            disk_free_mb=self._disk.free_mb,
            given_up=self._given_up,
            rejected=dict(self._receiver.rejected),
        )

    def start(self) -> None:
        if self._store.quarantined is not None:
            self._raise("store-quarantined", StoreQuarantined(path=self._store.quarantined))
        self._look_at_disk(self._clock.monotonic_ms())
        self._thread.start()

    def stop(self) -> None:
        """Commit and acknowledge what waits, then end."""
        self._stopping.set()
        self._thread.join()
        self._store.close()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `job` inside the next transaction; see edge_server.store.writer."""
        done: Future[T] = Future()
        self._inbox.put(Job(job, done), precious=True)
        return done

    def recover(
        self, found: Sequence[RecoverAlarm], also: Callable[[sqlite3.Connection], object] = lambda _: None
    ) -> Future[None]:
        """Store alarms that the other edge server of a pair has, once each however often they come; and what `also`
        does, in the same transaction. Fails with StoreUnwritable (KF75) where nothing can be stored now."""
        done: Future[None] = Future()
        self._inbox.put(Recovered(found, also, done), precious=True)
        return done

    def report(self, alarm: Alarm) -> None:
        """Store and show an alarm of the edge server's own (stamped with identity.accounted()). It waits here until it
        can be stored."""
        self._inbox.put(Arrival(alarm, self._clock.wall_ms(), self._clock.monotonic_ms()), precious=True)

    def alarm(self, name: str, error: KinflowError, active: bool) -> None:
        """Raise or clear an alarm of the edge server's own, from any thread."""
        self._raise(name, error, active)

    def _run(self) -> None:
        while not self._stopping.is_set() or len(self._inbox):
            self._beat()
            try:
                self._step()
            except Exception:
                log.exception("a batch failed; its devices will send it again")
        self._acks.flush(idle=True)

    def _step(self) -> None:
        items = self._inbox.take(BATCH, timeout_s=0.1, linger_s=LINGER_S)
        arrivals = [one for one in items if isinstance(one, Arrival)]
        self._own += [one for one in arrivals if self._is_own_alarm(one)]
        if items or (self._own and self._may_try()):
            self._take(
                self._own + [one for one in arrivals if not self._is_own_alarm(one)],
                [one.device for one in items if isinstance(one, Cleared)],
                [one for one in items if isinstance(one, Reject)],
                [one for one in items if isinstance(one, Job)],
            )
        for one in items:
            if isinstance(one, Recovered):
                self._take_recovered(one)
        self._acks.flush(idle=not len(self._inbox))
        now_mono_ms = self._clock.monotonic_ms()
        if now_mono_ms - self._ticked_at_mono_ms >= TICK_MS:
            self._ticked_at_mono_ms = now_mono_ms
            self._tick(now_mono_ms)

    def _take(
        self, arrivals: Sequence[Arrival], cleared: list[DeviceId], rejects: list[Reject], jobs: list[Job]
    ) -> None:
        if self._disk.stage == "full":
            arrivals, rejects = self._pass_over_readings(arrivals), []
        memory, outcome = decide.of_arrivals(self._memory, arrivals, cleared)
        self._note_devices(outcome)
        if self._may_try() and self._commit(memory, outcome, rejects, jobs):
            self._own = []
            return
        for job in jobs:
            job.done.set_exception(StoreUnwritable(path=self._store.path, detail="see the alarm store-unwritable"))
        self._memory, presence = decide.of_presence(self._memory, arrivals, cleared)
        self._bus.publish(*decide.events(presence), *decide.observations(outcome.effects))
        self._unstored += len(arrivals)
        alarms = [one for one in arrivals if isinstance(one.message, Alarm)]
        if alarms and self._commit(*decide.of_arrivals(self._memory, alarms, []), [], []):
            self._own = []

    def _take_recovered(self, one: Recovered) -> None:
        memory, outcome = decide.of_recovered(self._memory, one.found)
        taken = [effect for effect in outcome.effects if isinstance(effect, RecoverAlarm)]
        standing: list[RecoverAlarm] = []

        def after(connection: sqlite3.Connection) -> None:
            one.also(connection)
            standing.extend(effect for effect in taken if is_latest(connection, effect.alarm))

        job = Job(after, Future())
        if not (self._may_try() and self._commit(memory, outcome, [], [job])):
            one.done.set_exception(StoreUnwritable(path=self._store.path, detail="see the alarm store-unwritable"))
        elif (failure := job.done.exception()) is not None:
            one.done.set_exception(failure)
        else:
            # An old one that was cleared since is for the list alone.
            self._bus.publish(
                *(AlarmReceived(alarm=it.alarm, age_ms=it.age_ms, received_ms=it.received_ms) for it in standing)
            )
            one.done.set_result(None)

    def _pass_over_readings(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Leave readings unacknowledged, and show them all the same; returns the rest."""
        _, outcome = decide.of_arrivals(self._memory, arrivals, [])
        self._bus.publish(*decide.observations(outcome.effects))
        rest = [one for one in arrivals if not isinstance(one.message, Observation | Health | VehiclePosition)]
        self._unstored += len(arrivals) - len(rest)
        return rest

    def _commit(self, memory: Memory, outcome: Outcome, rejects: list[Reject], jobs: list[Job]) -> bool:
        """Store it all; then adopt the new state, tell the others, and acknowledge. False when it was not stored."""
        results: list[Callable[[], None]] = []
        lines = []
        effects, given_up = outcome.effects, 0
        if not self._disk.takes_readings:
            effects, given_up = without_readings(effects)

        def write(connection: sqlite3.Connection) -> None:
            write_effects(connection, effects)
            write_devices(
                connection,
                [device for device in self._unwritten.values() if device is not None],
                [name for name, device in self._unwritten.items() if device is None],
            )
            lines.extend(write_lines(connection, outcome.lines))
            write_rejects(connection, rejects)
            results.extend(_run_job(connection, job) for job in jobs)

        try:
            self._store.transaction(write)
        except sqlite3.Error as error:
            if is_full(error) and self._disk.ran_out():
                self._tell_of_disk()
                return self._commit(memory, outcome, rejects, jobs)
            self._failed(error)
            return False
        self._memory = memory
        self._unwritten = {}
        self._commits += 1
        self._given_up += given_up
        self._recovered()
        for settle in results:
            settle()
        events = decide.events(outcome)
        self._bus.publish(*events, *(Logged(entry=line) for line in lines))
        for effect in outcome.effects:
            match effect:
                case Acknowledge() if effect.source != self._identity.device:
                    self._acks.add(effect)
                case Tally():
                    self._stored += effect.fresh - given_up
                    self._repeated += effect.repeated
                case _:
                    pass
        return True

    def _tick(self, now_mono_ms: int) -> None:
        now_ms = self._clock.wall_ms()
        self._look_at_shedding(now_mono_ms)
        self._look_at_disk(now_mono_ms)
        memory, outcome = decide.of_time(self._memory, self._receiver.heard(), now_ms, now_mono_ms)
        self._note_devices(outcome)
        self._memory = Memory(self._memory.ingest, memory.fleet)
        if not self._may_try():
            self._bus.publish(*decide.events(outcome))
            return
        if outcome.effects or outcome.changes or self._unwritten:
            self._commit(memory, outcome, [], [])
        else:
            self._memory = memory
        try:
            today_ms = self._believe(now_ms, now_mono_ms)
            self._store.forget(self._limits.tightened(self._disk.stage), today_ms, pressed=self._disk.stage != "ok")
        except sqlite3.Error as error:
            self._failed(error)

    def _believe(self, now_ms: int, now_mono_ms: int) -> int:
        """The time by which rows are old, whatever the clock says at once."""
        before, calendar = self._calendar, self._calendar.look(now_ms, now_mono_ms)
        if calendar.doubt != before.doubt:
            self._store.keep_calendar(before, calendar)
            ahead_ms = calendar.doubt.ahead_ms or before.doubt.ahead_ms
            self._raise("clock-ahead", ClockAhead(hours=ahead_ms // HOUR_MS), active=bool(calendar.doubt.ahead_ms))
        self._calendar = calendar
        return calendar.believed_ms

    def _look_at_disk(self, now_mono_ms: int) -> None:
        changed = self._disk.look(now_mono_ms)
        if changed:
            self._tell_of_disk()
        if changed or self._disk.stage != "ok":
            self._bus.publish(DiskStage(stage=self._disk.stage, free_mb=self._disk.free_mb, given_up=self._given_up))

    def _tell_of_disk(self) -> None:
        stage, folder = self._disk.stage, self._store.path.parent
        given_up = self._given_up - self._given_up_before
        error, severity, active = disk_alarm.alarm_of(stage, folder, self._disk.free_mb, given_up)
        if not active:
            self._given_up_before = self._given_up
        log.warning("the disk has more or less room", stage=stage, free_mb=round(self._disk.free_mb))
        self._raise(disk_alarm.NAME, error, active, severity)

    def _look_at_shedding(self, now_mono_ms: int) -> None:
        before, self._shedding = (
            self._shedding,
            self._shedding.look(self._inbox.shed + self._broker_dropped(), now_mono_ms),
        )
        if self._shedding.active != before.active:
            shed = self._shedding.shed - (before.shed if self._shedding.active else 0)
            self._raise("shedding", Shedding(shed=shed), active=self._shedding.active)

    def _note_devices(self, outcome: Outcome) -> None:
        for change in outcome.changes:
            match change:
                case Removed():
                    self._unwritten[change.device] = None
                case SecondEdge():
                    if change.device not in self._second_edges:
                        self._second_edges.add(change.device)
                        self._raise("second-edge", SecondEdgeServer(device=change.device))
                case _:
                    self._unwritten[change.device.device] = change.device
                    if isinstance(change, Left) and change.device.device in self._second_edges:
                        self._second_edges.remove(change.device.device)
                        self._clear("second-edge", SecondEdgeServer(device=change.device.device))

    def _may_try(self) -> bool:
        return self._probe_at_mono_ms is None or self._clock.monotonic_ms() >= self._probe_at_mono_ms

    def _failed(self, error: sqlite3.Error) -> None:
        now_mono_ms = self._clock.monotonic_ms()
        # A disk that damages each fresh file as well is not to be filled with them.
        if is_damage(error) and now_mono_ms >= self._replace_again_mono_ms:
            self._replace_again_mono_ms = now_mono_ms + REPLACE_EVERY_MS
            aside = self._store.replace()
            self._memory = Memory(State(current=self._memory.ingest.current), self._memory.fleet)
            self._unwritten |= self._memory.fleet.devices
            self._raise("store-quarantined", StoreQuarantined(path=aside))
            return
        first = self._probe_at_mono_ms is None
        self._probe_at_mono_ms = now_mono_ms + PROBE_MS
        if first:
            log.error("the store can't be written", detail=str(error))
            alarm = self._raise("store-unwritable", StoreUnwritable(path=self._store.path, detail=str(error)))
            # It can't be stored now, and yet a person has to see it now.
            self._bus.publish(AlarmReceived(alarm=alarm, age_ms=0, received_ms=alarm.at_ms))

    def _recovered(self) -> None:
        if self._probe_at_mono_ms is not None:
            self._probe_at_mono_ms = None
            log.info("the store can be written again")
            self._clear("store-unwritable", StoreUnwritable(path=self._store.path, detail="no longer"))

    def _raise(self, name: str, error: KinflowError, active: bool = True, severity: Severity = "critical") -> Alarm:
        alarm = Alarm(
            **self._identity.accounted(),
            alarm=name,
            subject=self._identity.device,
            severity=severity,
            active=active,
            text=(error.cause_text if active else f"Over: {error.cause_text}")[:500],
            code=error.code,
        )
        self.report(alarm)
        return alarm

    def _clear(self, name: str, error: KinflowError) -> None:
        self._raise(name, error, active=False)

    def _is_own_alarm(self, arrival: Arrival) -> bool:
        return arrival.message.source == self._identity.device and isinstance(arrival.message, Alarm)


def _run_job(connection: sqlite3.Connection, job: Job) -> Callable[[], None]:
    """A job that fails takes nothing else with it. Its answer is given after the commit."""
    connection.execute("SAVEPOINT job")
    try:
        answer = job.run(connection)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and is_full(error):
            raise
        connection.execute("ROLLBACK TO job")
        failure = error
        return lambda: job.done.set_exception(failure)
    connection.execute("RELEASE job")
    return lambda: job.done.set_result(answer)
