"""From what devices say to what the dashboard shows: each message changes an object or two on the board."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod

from msgspec import structs

from edge_server.events import (
    BrokerLink,
    DeviceChanged,
    DeviceRemoved,
    DiskStage,
    Event,
    HealthReceived,
    HeartbeatReceived,
    Logged,
    ObservationReceived,
    VehicleReceived,
)
from edge_server.fleet.device import Device
from edge_server.gateway.board import Board
from edge_server.gateway.priority import priority_view
from edge_server.gateway.rows import certain, event_view, figure, remembered
from edge_server.gateway.views import (
    SERVER,
    ApproachView,
    CameraView,
    DecisionView,
    DeviceView,
    LaneView,
    LeaseView,
    PhaseView,
    ProposalView,
    ServerView,
    SightingView,
    SignalView,
    VehicleView,
    WouldView,
)
from edge_server.signals.events import (
    AdviceChanged,
    ModeChanged,
    PreemptionChanged,
    SignalCommanded,
    WouldCommand,
)
from edge_server.signals.modes.mode import Setting
from edge_server.store.rows import IndexPoint
from protocol.ids import IntersectionId
from protocol.messages import CameraHealth, CameraInfo, Health, Heartbeat
from protocol.site import Approach, Intersection, Site

CLOCK_FINE_MS = 10_000


class Projection:
    """Not thread-safe. Objects that the site names stand on the board from the start, with nothing known of them."""

    def __init__(self, board: Board, site: Site, modes: Mapping[IntersectionId, Setting] | None = None) -> None:
        self._board = board
        self._intersections: dict[str, Intersection] = {}
        self._devices: dict[str, Device] = {}
        self._health: dict[str, Health] = {}
        for intersection in site.intersections:
            self._intersections[intersection.id] = intersection
            known = self._signal(intersection.id)
            mode = (modes or {}).get(intersection.id)
            board.put(known if mode is None else known.model_copy(update=_mode(mode)))
            for approach in intersection.approaches:
                board.put(_unheard(approach, intersection.id))
        for approach in site.watched:
            board.put(_unheard(approach, None))

    @singledispatchmethod
    def apply(self, event: Event | IndexPoint) -> None:
        """Show one event; kinds that the dashboard does not show are passed over."""

    @apply.register
    def _observation(self, event: ObservationReceived) -> None:
        said = event.observation
        if not event.live:
            return
        known = self._board.get(ApproachView, said.approach) or ApproachView(id=said.approach)
        lanes = tuple(
            LaneView(
                id=lane.lane,
                occupancy=certain(lane.occupancy),
                queue_m=figure(lane.queue_m),
                speed_mps=figure(lane.speed_mps),
                count=figure(lane.count),
            )
            for lane in said.lanes
        )
        heard = ApproachView(
            id=known.id,
            name=known.name,
            intersection=known.intersection,
            camera=said.camera,
            source=said.source,
            status=said.status,
            sensor=said.sensor,
            calibrated=said.calibrated,
            index=certain(said.index),
            occupancy=certain(said.occupancy),
            congestion=said.congestion,
            queue_m=figure(said.queue_m),
            speed_mps=figure(said.speed_mps),
            count=figure(said.count),
            lanes=lanes,
            quality=said.quality.score,
            problems=said.quality.problems,
            emergency=said.emergency,
            emergencies=tuple(
                SightingView(
                    vehicle=one.kind,
                    state=one.state,
                    probability=one.probability,
                    evidence=one.evidence,
                    direction=one.direction,
                    since_ms=one.since_ms,
                )
                for one in said.emergencies
            ),
            observation=said.id,
            captured_ms=said.captured_ms,
            received_ms=event.received_ms,
        )
        self._board.put(heard)

    @apply.register
    def _remembered(self, row: IndexPoint) -> None:
        """What the store last heard of an approach, until it is heard again."""
        known = self._board.get(ApproachView, row.approach) or ApproachView(id=row.approach)
        if known.received_ms is None:
            self._board.put(remembered(known, row))

    @apply.register
    def _heartbeat(self, event: HeartbeatReceived) -> None:
        said = event.heartbeat
        lease = said.lease
        heard = {
            "controller": said.source,
            "control": said.control,
            "phases": self._phases(said),
            "target": said.target,
            "calls": tuple(phase for phase, _ in said.calls),
            "lease": LeaseView(edge=lease.edge, epoch=lease.epoch, remaining_ms=lease.remaining_ms) if lease else None,
            "refusal": said.last_command.refusal if said.last_command else None,
            "fault": said.fault,
            "received_ms": event.received_ms,
        }
        self._board.put(self._signal(said.intersection).model_copy(update=heard))

    @apply.register
    def _commanded(self, event: SignalCommanded) -> None:
        command = event.command
        decision = DecisionView(
            at_ms=event.sent_ms,
            controller=command.controller,
            phases=command.phases,
            reason=command.reason,
            command=command.id,
        )
        self._board.put(self._signal(command.intersection).model_copy(update={"decision": decision}))

    @apply.register
    def _moded(self, event: ModeChanged) -> None:
        gone = {"would": None} if event.setting.mode in {"off", "act"} else {}
        self._board.put(self._signal(event.intersection).model_copy(update={**_mode(event.setting), **gone}))

    @apply.register
    def _would(self, event: WouldCommand) -> None:
        would = WouldView(
            controller=event.controller,
            phases=event.phases,
            reason=event.reason,
            overruled=event.overruled,
            agrees=event.agrees,
            at_ms=event.at_ms,
        )
        self._board.put(self._signal(event.intersection).model_copy(update={"would": would}))

    @apply.register
    def _advised(self, event: AdviceChanged) -> None:
        one = event.proposal
        proposal = ProposalView(**structs.asdict(one)) if one is not None else None
        self._board.put(self._signal(event.intersection).model_copy(update={"proposal": proposal}))

    @apply.register
    def _preempted(self, event: PreemptionChanged) -> None:
        self._board.put(priority_view(event.state, event.shift_ms))

    @apply.register
    def _device(self, event: DeviceChanged) -> None:
        device = event.device
        health = self._health.get(device.device)
        view = DeviceView(
            id=device.device,
            name=device.name,
            role=device.role,
            state=device.state,
            reason=device.reason,
            born_ms=device.born_ms,
            heard_ms=device.heard_ms,
            software=device.software,
            hardware=device.hardware,
            intersection=device.intersection,
            simulated=device.simulated,
        )
        self._board.put(view.model_copy(update=vital_signs(health)) if health else view)
        cameras = {camera.camera: camera for camera in health.cameras} if health else {}
        for camera in device.cameras:
            self._board.put(_camera(device, camera, cameras.get(camera.camera)))
        self._devices[device.device] = device

    @apply.register
    def _removed(self, event: DeviceRemoved) -> None:
        self._board.remove(DeviceView, event.device)
        device = self._devices.pop(event.device, None)
        self._health.pop(event.device, None)
        for camera in device.cameras if device else ():
            self._board.remove(CameraView, camera.camera)

    @apply.register
    def _vital(self, event: HealthReceived) -> None:
        """Figures of a device that the registry does not know yet wait for its birth."""
        self._health[event.health.source] = event.health
        device = self._devices.get(event.health.source)
        if device is not None:
            self._device(DeviceChanged(device=structs.replace(device, heard_ms=event.received_ms)))

    @apply.register
    def _vehicle(self, event: VehicleReceived) -> None:
        said = event.position
        view = VehicleView(
            id=said.source,
            role=said.role,
            longitude=said.longitude,
            latitude=said.latitude,
            heading_deg=said.heading_deg,
            speed_mps=said.speed_mps,
            beacons=said.beacons,
            received_ms=event.received_ms - event.age_ms,
        )
        self._board.put(view)

    @apply.register
    def _link(self, event: BrokerLink) -> None:
        server = self._board.get(ServerView, SERVER)
        if server is not None:
            self._board.put(server.model_copy(update={"broker_connected": event.connected}))

    @apply.register
    def _disk(self, event: DiskStage) -> None:
        server = self._board.get(ServerView, SERVER)
        if server is not None:
            update = {"disk": event.stage, "disk_free_mb": event.free_mb, "given_up": event.given_up}
            self._board.put(server.model_copy(update=update))

    @apply.register
    def _line(self, event: Logged) -> None:
        self._board.put(event_view(event.entry))

    def _signal(self, intersection: str) -> SignalView:
        known = self._board.get(SignalView, intersection)
        if known is not None:
            return known
        site = self._intersections.get(intersection)
        if site is None:
            return SignalView(id=intersection, name="", controller="")
        phases = tuple(
            PhaseView(phase=phase.id, name=phase.name, kind=phase.kind, aspect="unknown") for phase in site.phases
        )
        return SignalView(id=site.id, name=site.name, controller=site.controller, phases=phases)

    def _phases(self, said: Heartbeat) -> tuple[PhaseView, ...]:
        """The site's phases with what they show; one that the controller does not name is unknown, not red."""
        site = self._intersections.get(said.intersection)
        planned = {phase.id: phase for phase in site.phases} if site else {}
        shown = {state.phase: state for state in said.phases}
        return tuple(
            PhaseView(
                phase=number,
                name=planned[number].name if number in planned else "",
                kind=planned[number].kind if number in planned else "vehicle",
                aspect=shown[number].aspect if number in shown else "unknown",
                elapsed_ms=shown[number].elapsed_ms if number in shown else 0,
            )
            for number in sorted(planned.keys() | shown.keys())
        )


def _mode(setting: Setting) -> dict[str, str | int]:
    return {
        "mode": setting.mode,
        "mode_by": setting.by,
        "mode_reason": setting.reason,
        "mode_ms": setting.at_ms,
    }


def _camera(device: Device, camera: CameraInfo, health: CameraHealth | None) -> CameraView:
    """A camera of a device that is gone is unknown, whatever it said last."""
    view = CameraView(
        id=camera.camera,
        device=device.device,
        approach=camera.approach,
        calibrated=camera.calibrated,
        width_px=camera.width_px,
        height_px=camera.height_px,
    )
    if health is None or device.state == "offline":
        return view
    update = {
        "state": health.state,
        "frames_per_s": health.frames_per_s,
        "restarts": health.restarts,
        "detail": health.detail,
    }
    return view.model_copy(update=update)


def vital_signs(health: Health) -> dict[str, float | str | None]:
    return {
        "uptime_s": health.uptime_s,
        "rss_mb": health.rss_mb,
        "cpu_percent": health.cpu_percent,
        "disk_free_mb": health.disk_free_mb,
        "temperature_c": health.temperature_c,
        "outbox_messages": health.outbox_messages,
        "update": _update_words(health),
        "clock": _clock_words(health),
    }


def _clock_words(health: Health) -> str | None:
    """What people should know of a device's clock: one that may be off by more than they would put up with."""
    clock = health.clock
    if clock is None or clock.error_ms is None or clock.error_ms <= CLOCK_FINE_MS:
        return None
    return f"its clock may be off by {clock.error_ms // 1000} s"


def _update_words(health: Health) -> str | None:
    """What people should know of a device's updates: one that is under way, or a last one that was not committed."""
    state = health.update
    if state is None:
        return None
    if state.phase != "idle":
        return f"update to {state.target}: {state.phase}"
    last = state.last
    if last is None or last.result == "committed":
        return None
    return f"update to {last.version} {last.result}: {last.code}: {last.text}"


def _unheard(approach: Approach, intersection: str | None) -> ApproachView:
    return ApproachView(id=approach.id, name=approach.name, intersection=intersection, camera=approach.camera)
