"""An edge server without a broker, for the tests of gateway and dashboard: the real bus and the real store, and a
script in place of devices. `python -m tests.edge_server.dashboard.demo` shows the page with it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.passwords import Hasher
from edge_server.bus import Bus
from edge_server.context import EdgeContext
from edge_server.errors import DeviceNotAsked
from edge_server.events import (
    AlarmReceived,
    BrokerLink,
    DeviceChanged,
    DeviceRemoved,
    HealthReceived,
    HeartbeatReceived,
    ObservationReceived,
    VehicleReceived,
)
from edge_server.fleet.device import Device
from edge_server.ingest.effects import HealthSeen, StoreAlarm, StoreObservation
from edge_server.ingest.figures import IngestFigures
from edge_server.pair.backfill import stored_after
from edge_server.pair.routes import pair_routes
from edge_server.pair.site_file import SiteFile
from edge_server.pair.vehicle_file import VehiclesOfPair
from edge_server.signals.desk import SignalDesk
from edge_server.signals.events import PreemptionChanged, SignalCommanded
from edge_server.signals.modes.book import ModeBook
from edge_server.signals.preemption.desk import Listeners, PreemptionDesk
from edge_server.signals.preemption.episode_routes import Episodes
from edge_server.signals.preemption.wave_desk import WaveDesk
from edge_server.signals.service import SignalService
from edge_server.signals.shadow.book import ShadowBook
from edge_server.store import ingested
from edge_server.store.file import open_store
from edge_server.store.reader import StoreReader
from edge_server.store.rows import LogEntry
from edge_server.store.writer import StoreWriter
from edge_server.trust.parts import TrustParts
from edge_server.trust.trust import EdgeTrust, TrustOptions
from edge_server.trust.watch import Broker as TrustBroker
from edge_server.trust.watch import TrustWatch
from edge_server.updates.mirror import Mirror
from edge_server.updates.rollout_store import RolloutStore
from edge_server.updates.service import UpdateService
from node.clock import SystemClock
from node.identity import Identity
from node.update.targets import Targets
from protocol.ids import (
    ApproachId,
    BootId,
    CameraId,
    DeviceId,
    IntersectionId,
    LaneId,
    MessageId,
    PhaseId,
    SiteId,
    StageId,
    new_message_id,
)
from protocol.messages import (
    Alarm,
    CameraHealth,
    CameraInfo,
    Estimate,
    Health,
    Heartbeat,
    LaneObservation,
    Lease,
    Observation,
    PhaseState,
    Quality,
    SignalCommand,
    VehiclePosition,
)
from protocol.messages.alarm import Severity
from protocol.site import Approach, Intersection, Lane, Phase, Plan, PlanStep, Site, Stage
from protocol.units import classify

T = TypeVar("T")
TOKEN = "a-token-for-tests-only-and-long-enough"
EDGE = DeviceId("edge-1")
ORIGIN = (13.4, 52.52)
METRE = (1 / 67_700, 1 / 111_320)
SIDES = {"n": (0, 1, 2), "e": (1, 0, 4), "s": (0, -1, 2), "w": (-1, 0, 4)}


def demo_site() -> Site:
    """Two intersections 260 m apart, four approaches each; main and side road take turns, people walk with them."""
    return Site(
        id=SiteId("demo"),
        name="Demo city",
        simulated=True,
        intersections=(_intersection("west", "Mill Street", 0), _intersection("east", "Station Road", 260)),
    )


def _intersection(name: str, title: str, east_m: float) -> Intersection:
    centre = _at(east_m, 0)
    walk = Phase(
        id=PhaseId(12), name="Walk across the side road", kind="pedestrian", walk_s=5, pedestrian_clearance_s=8
    )
    roads = [
        Phase(id=PhaseId(number), name=words, yellow_s=3.5, all_red_s=2.0, max_green_s=40.0)
        for number, words in ((2, "North-south"), (4, "East-west"))
    ]
    return Intersection(
        id=IntersectionId(name),
        name=title,
        position=centre,
        controller=DeviceId(f"controller-{name}"),
        approaches=tuple(_approach(name, title, side, east_m) for side in SIDES),
        phases=(*roads, walk),
        conflicts=((PhaseId(2), PhaseId(4)), (PhaseId(2), PhaseId(12))),
        compatible=((PhaseId(4), PhaseId(12)),),
        stages=(
            Stage(id=StageId("ns"), phases=(PhaseId(2),)),
            Stage(id=StageId("ew"), phases=(PhaseId(4), PhaseId(12))),
        ),
        plan=Plan(steps=(PlanStep(stage=StageId("ns"), green_s=20), PlanStep(stage=StageId("ew"), green_s=25))),
    )


def _approach(intersection: str, title: str, side: str, east_m: float) -> Approach:
    """Traffic keeps to the right: a line lies 4 m beside the middle of its road and ends 12 m before the centre."""
    x, y, phase = SIDES[side]
    right = (-y * -4.0, x * 4.0)
    far, near = 115.0, 14.0
    words = {"n": "north", "e": "east", "s": "south", "w": "west"}[side]
    return Approach(
        id=ApproachId(f"{intersection}-{side}"),
        name=f"{title}, {words}",
        line=tuple(_at(east_m + x * d - right[0], y * d + right[1]) for d in (far, near)),
        speed_limit_mps=13.9,
        camera=CameraId(f"cam-{intersection}-{side}"),
        road_width_m=7.0,
        visible_length_m=60.0,
        lanes=tuple(Lane(id=LaneId(f"{intersection}-{side}-{i}"), phases=(PhaseId(phase),)) for i in range(2)),
    )


def _at(east_m: float, north_m: float) -> tuple[float, float]:
    return (ORIGIN[0] + east_m * METRE[0], ORIGIN[1] + north_m * METRE[1])


def _no_source() -> Targets:
    raise AssertionError("nobody syncs the demo's mirror")


EMPTY_SITE = Site(id=SiteId("none"))


class DemoEdge:
    """Call it from any thread. Everything that is said is committed to the store before it is published."""

    def __init__(self, folder: Path, site: Site | None = None) -> None:
        self.clock = SystemClock()
        self.bus = Bus()
        self.site = demo_site() if site is None else site
        self.figures = IngestFigures(received=12, stored=10, duplicates=1, commits=4, rejected={"KF11": 1})
        self.broker_connected = True
        self.asked: list[tuple[DeviceId, str, dict[str, str]]] = []
        self._devices: dict[DeviceId, Device] = {}
        self._identities: dict[DeviceId, Identity] = {}
        self._epoch_ms = self.clock.monotonic_ms()
        self._lock = threading.Lock()
        self._beats = 0
        self.accounts = Accounts(folder / "accounts.db", self.clock, TOKEN, Hasher(time_cost=1, memory_kib=64))
        self._store = open_store(folder / "edge.db").connection
        self.updates = UpdateService(
            RolloutStore(folder / "rollout.db"),
            Mirror(folder / "mirror", _no_source),
            None,
            lambda: dict(self._devices),
            self._configure,
            self.clock,
            lambda text, bad: None,
        )
        self.trust = EdgeTrust(folder, EDGE, self.clock, TrustOptions(host="192.0.2.7", addresses=("192.0.2.7",)))
        self.put_out: list[DeviceId] = []
        watch = TrustWatch(
            self.trust,
            TrustBroker(lambda: None, self.put_out.append),
            self._identity(EDGE),
            lambda entry: None,
            lambda alarm: None,
            lambda device: None,
        )
        reader = StoreReader(folder / "edge.db")
        self._set_up_signals(folder)
        pair = pair_routes(
            folder,
            SiteFile(folder / "site.toml", folder),
            self.trust.authority,
            self.accounts.shared,
            lambda read: stored_after(reader, "demo", read),
            self.modes.shared,
            VehiclesOfPair(folder),
        )
        self.context = EdgeContext(
            version="0.1.0",
            device=EDGE,
            site=self.site,
            clock=self.clock,
            accounts=self.accounts,
            bus=self.bus,
            read=reader,
            write=StoreWriter(self._submit, self.bus),
            devices=lambda: dict(self._devices),
            figures=lambda: self.figures,
            broker_connected=lambda: self.broker_connected,
            remove_device=self.remove,
            configure=self._configure,
            home=folder,
            updates=self.updates,
            trust=TrustParts(self.trust, watch, pair),
            wave=WaveDesk(self.site, self.preemption),
            episodes=Episodes(folder, reader, self.preemption.numbers),
            signals=SignalDesk(self.modes, self.service, self.shadow),
            preemption=self.preemption,
        )

    def _set_up_signals(self, folder: Path) -> None:
        """Real ones, which hear the bus only once a test says so (deciding)."""
        identity = self._identity(EDGE)
        self.modes = ModeBook(self.site, folder, EDGE, self.clock.wall_ms)
        self.preemption = PreemptionDesk(self.site, identity, folder)
        self.sent: list[SignalCommand] = []
        self.service = SignalService(
            self.site,
            identity,
            lambda _, command: self.sent.append(command) is None,
            record=lambda _: None,
            report=lambda _: None,
            guide=self.preemption,
            mode=lambda place: self.modes.of(place).mode,
            show=self.bus.publish,
        )
        self.modes.watch(self.service.set_mode)
        self.shadow = ShadowBook(
            folder / "shadow", self.clock.wall_ms, self.service.take_tallies, self.service.peek_tallies
        )
        self.preemption.attach(
            Listeners(
                told=lambda place, *_: self.tell_of_preemption(place),
                changed=self.service.nudge,
                standing=self.service.standing,
                shown=self.service.shown,
            )
        )

        self.preemption.start()

    def tell_of_preemption(self, place: IntersectionId) -> None:
        shift_ms = self.clock.wall_ms() - self.preemption.now_ms()
        self.bus.publish(PreemptionChanged(state=self.preemption.states[place], shift_ms=shift_ms))

    def deciding(self) -> None:
        """Let the signals hear what is said from now on."""
        self.bus.subscribe(self.service.handle, ObservationReceived, HeartbeatReceived, name="signals")

    def _configure(self, device: DeviceId, name: str, arguments: Mapping[str, str]) -> MessageId:
        if not self.broker_connected:
            raise DeviceNotAsked(device=device)
        self.asked.append((device, name, dict(arguments)))
        return new_message_id(self.clock.wall_ms())

    def close(self) -> None:
        self.bus.close()
        self.preemption.stop()
        self.accounts.close()
        self._store.close()
        self.updates.stop()
        self.trust.close()

    def _submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        with self._lock:
            self._store.execute("BEGIN")
            value = job(self._store)
            self._store.execute("COMMIT")
        done.set_result(value)
        return done

    def _identity(self, device: str) -> Identity:
        return self._identities.setdefault(DeviceId(device), Identity(DeviceId(device), self.clock))

    def join(self, device: str, role: str = "agent", cameras: tuple[tuple[str, str], ...] = (), **more: object) -> None:
        """cameras: pairs of camera and approach."""
        now_ms = self.clock.wall_ms()
        infos = tuple(
            CameraInfo(camera=CameraId(c), approach=ApproachId(a), calibrated=True, width_px=640, height_px=360)
            for c, a in cameras
        )
        boot: BootId = self._identity(device).boot
        known = {"device": DeviceId(device), "boot": boot, "state": "online", "software": "kinflow 0.1.0"}
        known |= {"role": role, "cameras": infos, "born_ms": now_ms, "heard_ms": now_ms, **more}
        self._devices[DeviceId(device)] = Device(**known)
        self.bus.publish(DeviceChanged(device=self._devices[DeviceId(device)]))

    def leave(self, device: str, state: str = "offline", reason: str = "will") -> None:
        known = self._devices[DeviceId(device)]
        fields = {name: getattr(known, name) for name in known.__struct_fields__}
        self._devices[DeviceId(device)] = Device(**{**fields, "state": state, "reason": reason})
        self.bus.publish(DeviceChanged(device=self._devices[DeviceId(device)]))

    def remove(self, device: str) -> None:
        del self._devices[DeviceId(device)]
        self.bus.publish(DeviceRemoved(device=DeviceId(device)))

    def health(self, device: str, cameras: tuple[CameraHealth, ...] = (), **figures: float) -> None:
        known = {"uptime_s": 3600.0, "rss_mb": 96.0, "cpu_percent": 24.0, "disk_free_mb": 21_400.0, **figures}
        health = Health(**self._identity(device).accounted(), **known, cameras=cameras)
        now_ms = self.clock.wall_ms()
        self._submit(lambda store: ingested.write(store, [HealthSeen(health, 0, now_ms)]))
        self.bus.publish(HealthReceived(health=health, received_ms=now_ms))

    def observe(
        self,
        approach: str,
        index: float | None,
        *,
        spread: float = 0.05,
        status: str = "ok",
        age_ms: int = 0,
        device: str = "pi-1",
        **more: object,
    ) -> Observation:
        """One observation; index None while learning. The second lane is emptier than the first."""
        low, high = (0.0, 1.0) if index is None else (max(0.0, index - spread), min(1.0, index + spread))
        occupancy = Estimate(None if index is None else index * 0.35, low * 0.35, high * 0.35)
        queue = None if index is None else Estimate(index * 55, low * 55, high * 55)
        lanes = tuple(
            LaneObservation(
                lane=LaneId(f"{approach}-{i}"),
                occupancy=occupancy if i == 0 or index is None else Estimate(index * 0.25, low * 0.25, high * 0.25),
                queue_m=queue if i == 0 or index is None else Estimate(index * 35, low * 35, high * 35),
            )
            for i in range(2)
        )
        now_ms = self.clock.wall_ms()
        known = {
            "camera": CameraId(f"cam-{approach}"),
            "approach": ApproachId(approach),
            "captured_ms": now_ms,
            "captured_mono_ms": self.clock.monotonic_ms(),
            "frame": 1,
            "sensor": "camera",
            "status": status,
            "calibrated": True,
            "occupancy": occupancy,
            "index": Estimate(index, low, high),
            "congestion": None if index is None else classify(index),
            "quality": Quality(0.92),
            "queue_m": queue,
            "speed_mps": None if index is None else Estimate(12 * (1 - index), 0.0, 13.0),
            "count": None if index is None else Estimate(round(index * 18), 0.0, 20.0),
            "lanes": lanes,
            "emergency": "absent",
        }
        said = Observation(**self._identity(device).accounted(), **{**known, **more})
        mono_ms = self.clock.monotonic_ms()
        live = age_ms < 2_000
        effect = StoreObservation(said, age_ms, live, now_ms, mono_ms)
        self._submit(lambda store: ingested.write(store, [effect]))
        self.bus.publish(
            ObservationReceived(
                observation=said, age_ms=age_ms, live=live, received_ms=now_ms, received_mono_ms=mono_ms
            )
        )
        return said

    def heartbeat(
        self,
        intersection: str,
        aspects: dict[int, str],
        control: str = "edge",
        elapsed_ms: int = 4_000,
        **more: object,
    ) -> None:
        self._beats += 1
        lease = Lease(edge=EDGE, epoch=3, remaining_ms=4_000) if control == "edge" else None
        said = Heartbeat(
            **self._identity(f"controller-{intersection}").live(),
            intersection=IntersectionId(intersection),
            counter=self._beats,
            control=control,
            phases=tuple(PhaseState(PhaseId(p), aspect, elapsed_ms) for p, aspect in aspects.items()),
            target=tuple(PhaseId(p) for p, aspect in aspects.items() if aspect in {"green", "walk"}),
            highest_epoch=3,
            lease=lease,
            **more,
        )
        self.bus.publish(
            HeartbeatReceived(
                heartbeat=said, received_ms=self.clock.wall_ms(), received_mono_ms=self.clock.monotonic_ms()
            )
        )

    def command(self, intersection: str, phases: tuple[int, ...], reason: str) -> None:
        said = SignalCommand(
            **self._identity(EDGE).live(),
            intersection=IntersectionId(intersection),
            phases=tuple(PhaseId(phase) for phase in phases),
            heartbeat=1,
            heartbeat_boot=self._identity(f"controller-{intersection}").boot,
            lease_ms=5_000,
            epoch=3,
            controller="max-pressure",
            reason=reason,
        )
        self.bus.publish(SignalCommanded(command=said, sent_ms=self.clock.wall_ms()))

    def vehicle(self, device: str, east_m: float, north_m: float, heading_deg: float = 90.0) -> None:
        longitude, latitude = _at(east_m, north_m)
        said = VehiclePosition(
            **self._identity(device).accounted(),
            role="ambulance",
            longitude=longitude,
            latitude=latitude,
            heading_deg=heading_deg,
            speed_mps=15.0,
            beacons=True,
        )
        self.bus.publish(VehicleReceived(position=said, age_ms=0, received_ms=self.clock.wall_ms()))

    def alarm(
        self, name: str, subject: str, severity: Severity, text: str, *, active: bool = True, code: str | None = None
    ) -> Alarm:
        said = Alarm(
            **self._identity("pi-1").accounted(),
            alarm=name,
            subject=subject,
            severity=severity,
            active=active,
            text=text,
            code=code,
        )
        now_ms = self.clock.wall_ms()
        self._submit(lambda store: ingested.write(store, [StoreAlarm(said, 0, now_ms)]))
        self.bus.publish(AlarmReceived(alarm=said, age_ms=0, received_ms=now_ms))
        return said

    def log(self, kind: str, text: str, severity: Severity = "info", subject: str = "") -> None:
        entry = LogEntry(at_ms=self.clock.wall_ms(), kind=kind, severity=severity, subject=subject, text=text)
        self.context.write.append_event(entry)

    def link(self, connected: bool) -> None:
        self.broker_connected = connected
        self.bus.publish(BrokerLink(connected=connected))
