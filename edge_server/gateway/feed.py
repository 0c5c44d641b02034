"""From the edge's bus to every open page: paced, in order, and bounded however slow a reader is."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from edge_server.bus import Subscription
from edge_server.context import EdgeContext
from edge_server.errors import TooManyStreams
from edge_server.events import (
    AlarmReceived,
    DeviceChanged,
    DeviceRemoved,
    Event,
    HealthReceived,
    HeartbeatReceived,
    Logged,
    ObservationReceived,
    Resync,
    VehicleReceived,
)
from edge_server.gateway.board import Board, Change
from edge_server.gateway.pace import Pace
from edge_server.gateway.projection import Projection
from edge_server.gateway.rows import alarm_views, correction_view, event_view
from edge_server.gateway.views import (
    AlarmView,
    ApproachView,
    CameraView,
    CorrectionView,
    DeviceView,
    EventView,
    PriorityView,
    ServerView,
    Shown,
    SignalView,
    StateView,
    VehicleView,
)
from edge_server.signals.events import (
    AdviceChanged,
    ModeChanged,
    PreemptionChanged,
    SignalCommanded,
    WouldCommand,
)
from protocol.ids import DeviceId

BEAT_S = 5.0
# Changes wait this long for company, so that a busy city wakes each page at most 50 times a second.
GATHER_S = 0.02
# Each change is written once for each: a control room has ten screens of six on one account, a city four such rooms.
STREAMS_OF_ONE, STREAMS = 64, 256
KEPT: dict[type[Shown], int] = {AlarmView: 200, EventView: 500, VehicleView: 500, CorrectionView: 500}

_log = structlog.get_logger("edge.feed")


class Feed:
    """The board and its readers live on one event loop, where `run` is a task. Everything but `offer` and `close` is
    called there."""

    def __init__(self, edge: EdgeContext) -> None:
        self._edge = edge
        self.board = Board(KEPT)
        self.board.put(ServerView(device=edge.device, version=edge.version, broker_connected=edge.broker_connected()))
        self._projection = Projection(self.board, edge.site, edge.signals.modes.all() if edge.signals else None)
        self._pace: Pace[Event] = Pace()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._readers: dict[asyncio.Event, str] = {}
        self._run = secrets.token_hex(4)
        self._subscription: Subscription | None = None
        self._asked = False
        self._closed = False

    def offer(self, event: Event) -> None:
        """Show what an event says as soon as its pace allows; from any thread, and never blocking."""
        with self._lock:
            ask = not self._asked
            self._asked = True
            self._pace.offer(_pace_key(event), event)
        if ask:
            self._wake()

    def close(self) -> None:
        """End every stream, so that the server can stop; from any thread."""
        self._closed = True
        self._wake()

    def attach(self) -> None:
        """Begin to listen: nothing that is published after this returns is missed. On the event loop, before `run`."""
        self._loop = asyncio.get_running_loop()
        self._subscription = self._edge.bus.subscribe(self.offer, name="feed")

    async def run(self) -> None:
        """Show what is offered, until closed."""
        try:
            await self._remember()
            wait_s: float | None = 0.0
            while not self._closed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), wait_s)
                self._woken.clear()
                with self._lock:
                    self._asked = False
                    due = self._pace.take(self._edge.clock.monotonic_ms())
                for event in due:
                    await self._show(event)
                if due:
                    self._notify()
                await asyncio.sleep(GATHER_S)
                with self._lock:
                    wait_ms = self._pace.next_ms(self._edge.clock.monotonic_ms())
                wait_s = None if wait_ms is None else wait_ms / 1000
        finally:
            self._closed = True
            self._notify()
            if self._subscription is not None:
                await asyncio.to_thread(self._edge.bus.unsubscribe, self._subscription)

    def check_room(self, reader: str) -> None:
        """Whether there may be one more stream, and one more of this reader's. Raises TooManyStreams (KF219)."""
        own = sum(1 for one in self._readers.values() if one == reader)
        if own >= STREAMS_OF_ONE or len(self._readers) >= STREAMS:
            raise TooManyStreams(open=len(self._readers), own=own)

    async def stream(self, last_event_id: str | None, reader: str = "") -> AsyncIterator[str]:
        """Server-sent events for one reader: a snapshot, then changes; after a short absence the changes alone."""
        changed = asyncio.Event()
        self._readers[changed] = reader
        try:
            cursor = self._cursor(last_event_id)
            if cursor is None and last_event_id:
                yield _event("resync", "{}")
            while not self._closed:
                changes = None if cursor is None else self.board.since(cursor)
                if changes is None:
                    cursor = self.board.revision
                    yield _event("snapshot", self.state().model_dump_json(), self.revision)
                elif changes:
                    cursor = changes[-1].revision
                    yield "".join(self._format(change) for change in changes)
                elif not await _set_within(changed, BEAT_S):
                    yield ": beat\n" + _event("beat", f'{{"now_ms":{self._edge.clock.wall_ms()}}}')
                changed.clear()
        finally:
            self._readers.pop(changed, None)

    @property
    def revision(self) -> str:
        return f"{self._run}-{self.board.revision}"

    @property
    def readers(self) -> int:
        return len(self._readers)

    def state(self) -> StateView:
        """Everything at this instant."""
        board = self.board
        return StateView(
            now_ms=self._edge.clock.wall_ms(),
            revision=self.revision,
            approaches=board.all(ApproachView),
            signals=board.all(SignalView),
            cameras=board.all(CameraView),
            devices=board.all(DeviceView),
            vehicles=board.all(VehicleView),
            alarms=board.all(AlarmView),
            corrections=board.all(CorrectionView),
            events=board.all(EventView),
            servers=board.all(ServerView),
            priorities=board.all(PriorityView),
        )

    def put(self, view: Shown) -> None:
        self.board.put(view)
        self._notify()

    def remove(self, kind: type[Shown], name: str) -> None:
        self.board.remove(kind, name)
        self._notify()

    async def refresh_alarms(self) -> None:
        """Read the alarms anew: which row raised one, and what a person said of it, only the store knows."""
        for view in await asyncio.to_thread(self._alarms):
            if self.board.get(AlarmView, str(view.id)) != view:
                self.put(view)

    def _alarms(self) -> list[AlarmView]:
        read = self._edge.read
        rows = {row.id: row for row in (*read.alarms(limit=200), *read.alarms(limit=200, active=True))}
        return alarm_views(rows.values(), read.corrections())

    async def _show(self, event: Event) -> None:
        """One bad event must not end the feed."""
        try:
            if isinstance(event, AlarmReceived):
                await self.refresh_alarms()
            elif isinstance(event, Resync):
                await self._remember()
            else:
                self._projection.apply(event)
        except Exception:
            _log.exception("event not shown", event_kind=type(event).__name__)

    async def _remember(self) -> None:
        """Bring the board to what the store, the registry and the signals hold now."""
        read = self._edge.read
        self._remember_signals()
        devices = self._edge.devices()
        for name in {view.id for view in self.board.all(DeviceView)} - set(devices):
            self._projection.apply(DeviceRemoved(device=DeviceId(name)))
        for device in devices.values():
            self._projection.apply(DeviceChanged(device=device))
        for health in (await asyncio.to_thread(read.health)).values():
            self._projection.apply(HealthReceived(health=health, received_ms=health.at_ms))
        for row in await asyncio.to_thread(read.latest):
            self._projection.apply(row)
        for entry in reversed(await asyncio.to_thread(read.events)):
            self.board.put(event_view(entry))
        for correction in reversed(await asyncio.to_thread(read.corrections)):
            self.board.put(correction_view(correction))
        await self.refresh_alarms()
        self._notify()

    def _remember_signals(self) -> None:
        signals, preemption = self._edge.signals, self._edge.preemption
        if signals is not None:
            for place, setting in signals.modes.all().items():
                self._projection.apply(ModeChanged(intersection=place, setting=setting))
            for place, proposal in signals.service.proposals().items():
                self._projection.apply(AdviceChanged(intersection=place, proposal=proposal))
        if preemption is not None:
            shift_ms = self._edge.clock.wall_ms() - preemption.now_ms()
            for state in preemption.states.values():
                self._projection.apply(PreemptionChanged(state=state, shift_ms=shift_ms))

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: nobody is left to be woken
                self._loop.call_soon_threadsafe(self._woken.set)

    def _notify(self) -> None:
        for reader in self._readers:
            reader.set()

    def _cursor(self, last_event_id: str | None) -> int | None:
        run, _, revision = (last_event_id or "").partition("-")
        return int(revision) if run == self._run and revision.isdecimal() else None

    def _format(self, change: Change) -> str:
        name = f"{self._run}-{change.revision}"
        if change.view is None:
            return _event("removed", json.dumps({"kind": change.kind, "id": change.id}), name)
        return _event(change.kind, change.view.model_dump_json(), name)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False


def _event(name: str, data: str, number: str = "") -> str:
    return f"event: {name}\n" + (f"id: {number}\n" if number else "") + f"data: {data}\n\n"


def _pace_key(event: Event) -> str:
    """What is coalesced with what: the latest of one object, and log lines not at all."""
    name = "Device" if isinstance(event, DeviceChanged | DeviceRemoved) else type(event).__name__
    return f"{name} {_subject(event)}"


def _subject(event: Event) -> str:
    match event:
        case ObservationReceived():
            # One that is history only must not take the place of one that is shown.
            subject = f"{event.observation.approach} {event.live}"
        case HeartbeatReceived():
            subject = event.heartbeat.intersection
        case SignalCommanded():
            subject = event.command.intersection
        case ModeChanged() | WouldCommand() | AdviceChanged():
            subject = event.intersection
        case PreemptionChanged():
            subject = event.state.terms.intersection
        case DeviceChanged():
            subject = event.device.device
        case DeviceRemoved():
            subject = event.device
        case HealthReceived():
            subject = event.health.source
        case VehicleReceived():
            subject = event.position.source
        case Logged():
            subject = str(event.entry.id) if event.entry.id else secrets.token_hex(8)
        case _:
            subject = ""
    return subject
