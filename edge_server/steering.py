"""All that steers: the signals with their modes and shadow, who may have them, the neighbours that a way leads on to,
and the log of the lamps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_server.bus import Bus
from edge_server.events import HeartbeatReceived, ObservationReceived, PriorityRequested, RouteRequested
from edge_server.ingest.worker import IngestWorker
from edge_server.neighbours.link import NeighbourLink, NeighbourLinks
from edge_server.signals.desk import SignalDesk
from edge_server.signals.events import PreemptionChanged, SignalCommanded
from edge_server.signals.fault import SignalFault
from edge_server.signals.hires_files import FOLDER as HIRES
from edge_server.signals.hires_files import HiresFiles
from edge_server.signals.junction import Record
from edge_server.signals.modes.book import ModeBook
from edge_server.signals.modes.mode import Setting
from edge_server.signals.preemption.desk import Listeners, PreemptionDesk
from edge_server.signals.preemption.events import Effect, Granted, Happening
from edge_server.signals.preemption.wave_desk import Surroundings, WaveDesk
from edge_server.signals.preemption.words import lines
from edge_server.signals.service import SignalService
from edge_server.signals.shadow.book import FOLDER as SHADOW
from edge_server.signals.shadow.book import ShadowBook
from edge_server.store.rows import LogEntry, SignalEntry
from edge_server.store.writer import StoreWriter
from node.broker.port import BrokerClient
from node.identity import Identity
from node.trust.authority import Authority
from protocol.codec import encode
from protocol.ids import DeviceId, IntersectionId
from protocol.messages import PriorityStatus, SignalCommand
from protocol.site import Site
from protocol.topics import PRIORITY_STATUS, SIGNAL_COMMAND


@dataclass(frozen=True)
class PairTerms:
    """What a pair means for steering. peer: the other edge server, None for none; defers: it is to be let go first."""

    peer: DeviceId | None = None
    defers: Callable[[], bool] = lambda: False


class Steering:
    """The parts of an edge server that steer, wired to one another. site_path: for messages; home: the state folder;
    beat: called with each tick of the signals. start() after the bus and the worker, stop() before the worker."""

    def __init__(  # noqa: PLR0917 (what it stands between)
        self,
        site: Site,
        site_path: str,
        home: Path,
        identity: Identity,
        client: BrokerClient,
        prefix: str,
        bus: Bus,
        worker: IngestWorker,
        write: StoreWriter,
        authority: Authority,
        beat: Callable[[], None],
        pair: PairTerms,
    ) -> None:
        self._identity, self._client, self._prefix = identity, client, prefix
        self._bus, self._worker, self._write = bus, worker, write
        self.modes = ModeBook(site, home, identity.device, identity.clock.wall_ms)
        self.preemption = PreemptionDesk(site, identity, home)
        self.wave = WaveDesk(site, self.preemption)
        self._hires = HiresFiles(home / HIRES, site)
        self._neighbours = NeighbourLinks(
            NeighbourLink(one, authority, identity.clock, self._send_status, worker.alarm) for one in site.neighbours
        )
        self._signals = SignalService(
            site,
            identity,
            self._send_command,
            record=self._record,
            report=self._report,
            commanded=self._commanded,
            path=site_path,
            peer=pair.peer,
            defers=pair.defers,
            beat=beat,
            guide=self.preemption,
            mode=lambda place: self.modes.of(place).mode,
            show=bus.publish,
        )
        self._shadow = ShadowBook(
            home / SHADOW, identity.clock.wall_ms, self._signals.take_tallies, self._signals.peek_tallies
        )
        self.desk = SignalDesk(self.modes, self._signals, self._shadow)
        self.preemption.attach(
            Listeners(
                send=self._send_status,
                told=self._tell_of_preemption,
                changed=self._signals.nudge,
                standing=self._signals.standing,
                shown=self._signals.shown,
                alarm=worker.alarm,
            )
        )
        self.wave.attach(
            Surroundings(
                shown=self._signals.shown,
                sights=self._signals.sights,
                onward=self._neighbours.put,
                note=self._tell_of_route,
            )
        )
        self.modes.attach(worker.alarm)
        self.modes.watch(self._mode_changed)

    def start(self) -> None:
        self._bus.subscribe(self._signals.handle, ObservationReceived, HeartbeatReceived, name="signals")
        self._bus.subscribe(self._hires.handle, HeartbeatReceived, name="hires")
        self._bus.subscribe(self.preemption.handle, ObservationReceived, PriorityRequested, name="preemption")
        self._bus.subscribe(self.wave.handle, RouteRequested, name="waves")
        self.preemption.start()
        self._neighbours.start()
        self._signals.start()

    def keep(self) -> None:
        """What is due from time to time: once a second."""
        self.preemption.keep()
        self.modes.look()
        self._shadow.keep()

    def stop(self) -> None:
        self._signals.stop()
        self._neighbours.stop()
        self._shadow.flush()
        self.preemption.stop()

    def _send_command(self, device: DeviceId, command: SignalCommand) -> bool:
        topic = SIGNAL_COMMAND.of(device, prefix=self._prefix)
        return self._client.publish(topic, encode(command), SIGNAL_COMMAND.qos)

    def _send_status(self, device: DeviceId, status: PriorityStatus) -> None:
        self._client.publish(PRIORITY_STATUS.of(device, prefix=self._prefix), encode(status), PRIORITY_STATUS.qos)

    def _tell_of_preemption(self, intersection: IntersectionId, event: Happening, effects: tuple[Effect, ...]) -> None:
        wall_ms, mode = self._identity.clock.wall_ms(), self.modes.of(intersection).mode
        self._bus.publish(
            PreemptionChanged(state=self.preemption.states[intersection], shift_ms=wall_ms - self.preemption.now_ms())
        )
        if mode == "act":
            self._hires.told(intersection, effects, wall_ms)
        elif any(isinstance(effect, Granted) for effect in effects):
            self._signals.would_grant(intersection)
        for line in lines(intersection, event, effects, wall_ms, mode):
            self._write.append_event(line)

    def _mode_changed(self, intersection: IntersectionId, setting: Setting) -> None:
        self._signals.set_mode(intersection, setting)
        self._write.append_event(
            LogEntry(
                at_ms=self._identity.clock.wall_ms(),
                kind="signal-mode",
                severity="warning" if setting.mode == "act" else "info",
                subject=intersection,
                text=f"{intersection} is in mode {setting.mode} now. {setting.by or 'Nobody'}: {setting.reason}"[:500],
            )
        )

    def _tell_of_route(self, vehicle: str, text: str, code: str) -> None:
        self._write.append_event(
            LogEntry(
                at_ms=self._identity.clock.wall_ms(),
                kind="preemption",
                severity="warning",
                subject=vehicle,
                text=text[:500],
                code=code,
            )
        )

    def _commanded(self, command: SignalCommand) -> None:
        self._bus.publish(SignalCommanded(command=command, sent_ms=self._identity.clock.wall_ms()))

    def _record(self, record: Record) -> None:
        self._write.append_signal(
            SignalEntry(
                at_ms=self._identity.clock.wall_ms(),
                intersection=record.intersection,
                controller=record.controller,
                phases=record.phases,
                reason=record.reason,
                outcome=record.kind,
            )
        )

    def _report(self, fault: SignalFault) -> None:
        self._worker.report(fault.message(self._identity.accounted()))
