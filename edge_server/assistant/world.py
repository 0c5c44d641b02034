"""What the edge server knows, as the assistant tells it: the board that the dashboard shows."""

from __future__ import annotations

from edge_server.gateway.board import Board
from edge_server.gateway.views import (
    ApproachView,
    CameraView,
    DeviceView,
    Figure,
    PriorityView,
    ServerView,
    SignalView,
)
from models.assistant.world import (
    Approach,
    Camera,
    Claim,
    Device,
    DeviceState,
    Lamp,
    Place,
    Signals,
    Vehicle,
    World,
)

_ILL = {"stalled", "failed"}


def world_of(board: Board, teller: str, now_ms: int) -> World:
    """On the event loop, where the board lives."""
    cameras = board.all(CameraView)
    ill: dict[str, list[str]] = {}
    for camera in cameras:
        if camera.state in _ILL:
            ill.setdefault(camera.device, []).append(f"camera {camera.id} is {camera.state}")
    approaches = board.all(ApproachView)
    return World(
        teller=teller,
        now_ms=now_ms,
        places=tuple(Place(id=one.id, name=one.name) for one in board.all(SignalView)),
        approaches=tuple(_approach(one) for one in approaches),
        signals=tuple(_signals(one) for one in board.all(SignalView)),
        claims=tuple(claim for one in board.all(PriorityView) for claim in _claims(one)),
        devices=(
            *(_server(one, now_ms) for one in board.all(ServerView)),
            *(_device(one, ill.get(one.id, [])) for one in board.all(DeviceView) if one.id != teller),
        ),
        cameras=tuple(_camera(one, board) for one in cameras),
    )


def _approach(one: ApproachView) -> Approach:
    return Approach(
        id=one.id,
        name=one.name,
        place=one.intersection or "",
        status=one.status,
        congestion=one.congestion,
        index=_value(one.index),
        queue_m=_value(one.queue_m),
        speed_mps=_value(one.speed_mps),
        count=_value(one.count),
        heard_ms=one.received_ms,
        emergency=None if one.emergency == "unavailable" else one.emergency,
        vehicles=tuple(
            Vehicle(kind=vehicle.vehicle, state=vehicle.state, direction=vehicle.direction)
            for vehicle in one.emergencies
        ),
    )


def _signals(one: SignalView) -> Signals:
    lamps = (
        Lamp(phase=phase.phase, name=phase.name, aspect=phase.aspect, elapsed_ms=phase.elapsed_ms)
        for phase in one.phases
    )
    return Signals(
        place=one.id, control=one.control, mode=one.mode, lamps=tuple(lamps), fault=one.fault, heard_ms=one.received_ms
    )


def _claims(one: PriorityView) -> list[Claim]:
    held = [] if one.holder is None else [(one.holder, True)]
    return [
        Claim(place=one.id, approach=claim.approach, role=claim.role, holds=holds)
        for claim, holds in (*held, *((waiting, False) for waiting in one.queue))
    ]


def _server(one: ServerView, now_ms: int) -> Device:
    """The edge server itself is a device as well: it has settings."""
    ill = [] if one.broker_connected else ["its broker is gone"]
    if one.disk != "ok":
        ill.append(f"its disk is {one.disk}")
    return Device(
        id=one.device,
        role="edge",
        state="degraded" if ill else "online",
        reason="; ".join(ill),
        heard_ms=now_ms,
        disk_free_mb=one.disk_free_mb,
    )


def _device(one: DeviceView, ill: list[str]) -> Device:
    reasons = [one.reason] if one.reason else []
    state: DeviceState = "online"
    if one.state == "offline":
        state = "offline"
    elif one.state == "silent" or ill:
        state = "degraded"
        reasons += [*(["it has said nothing for a while"] if one.state == "silent" else []), *ill]
    return Device(
        id=one.id,
        name=one.name,
        role=one.role,
        state=state,
        reason="; ".join(reasons),
        heard_ms=one.heard_ms,
        uptime_s=one.uptime_s,
        rss_mb=one.rss_mb,
        cpu_percent=one.cpu_percent,
        disk_free_mb=one.disk_free_mb,
        temperature_c=one.temperature_c,
        waiting=one.outbox_messages,
    )


def _camera(one: CameraView, board: Board) -> Camera:
    heard = board.get(ApproachView, one.approach) if one.approach else None
    return Camera(
        id=one.id,
        device=one.device,
        approach=one.approach or "",
        state=one.state,
        detail=one.detail,
        frames_per_s=one.frames_per_s,
        calibrated=one.calibrated,
        problems=tuple(problem for problem in heard.problems if problem != "uncalibrated") if heard else (),
    )


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value
