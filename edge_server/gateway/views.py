"""What the API shows: one model for each noun. Times are Unix milliseconds, ages are milliseconds at `now_ms`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from edge_server.signals.modes.mode import Mode
from edge_server.store.room import Stage
from edge_server.store.rows import Mistake
from protocol.messages.alarm import Severity
from protocol.messages.observation import EmergencyEvidence, EmergencyKind, EmergencyState, Problem, Sensor, Status
from protocol.messages.presence import Role
from protocol.units import Congestion

SERVER = "edge"


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Shown(View):
    """An object that stands on the dashboard and changes there. kind: its name in the event stream."""

    kind: ClassVar[str]
    id: str | int


class Figure(View):
    """A figure with its 90 % interval. value is null while only the interval can be told."""

    value: float | None
    low: float
    high: float


class LaneView(View):
    id: str
    occupancy: Figure
    queue_m: Figure | None = None
    speed_mps: Figure | None = None
    count: Figure | None = None


class SightingView(View):
    """One emergency vehicle: what the camera holds it for, and why. probability: that it asks for way."""

    vehicle: EmergencyKind
    state: Literal["present", "requested"]
    probability: float
    evidence: tuple[EmergencyEvidence, ...]
    direction: Literal["towards", "away", "standing"] | None
    since_ms: int | None


class ApproachView(Shown):
    """status `none`: nothing has been heard yet. index is 0..1; while `learning` it has an interval and no value."""

    kind: ClassVar[str] = "approach"
    id: str
    name: str = ""
    intersection: str | None = None
    camera: str | None = None
    source: str | None = None
    status: Status | Literal["none"] = "none"
    sensor: Sensor | None = None
    calibrated: bool = False
    index: Figure | None = None
    occupancy: Figure | None = None
    congestion: Congestion | None = None
    queue_m: Figure | None = None
    speed_mps: Figure | None = None
    count: Figure | None = None
    lanes: tuple[LaneView, ...] = ()
    quality: float | None = None
    problems: tuple[Problem, ...] = ()
    emergency: EmergencyState = "unavailable"
    emergencies: tuple[SightingView, ...] = ()
    observation: str | None = None
    captured_ms: int | None = None
    received_ms: int | None = None


class PhaseView(View):
    phase: int
    name: str
    kind: Literal["vehicle", "pedestrian"]
    aspect: Literal["red", "yellow", "green", "walk", "pedestrian-clearance", "unknown"]
    elapsed_ms: int = 0


class LeaseView(View):
    edge: str
    epoch: int
    remaining_ms: int


class DecisionView(View):
    """What this edge server decided about an intersection, why, and what became of it."""

    at_ms: int
    controller: str
    phases: tuple[int, ...]
    reason: str
    command: str = ""
    outcome: str = ""


class WouldView(View):
    """What would be commanded where nothing is. agrees: the signals show or head for it by themselves."""

    controller: str
    phases: tuple[int, ...]
    reason: str
    overruled: bool
    agrees: bool
    at_ms: int


class ProposalView(View):
    """What is proposed to operators. ends_ms: by then it has expired or, once it is confirmed, is over."""

    id: str
    stage: str
    phases: tuple[int, ...]
    controller: str
    reason: str
    ends_ms: int
    confirmed: bool


class SignalView(Shown):
    """The signals of one intersection, under its id. control `unknown`: its controller has not been heard yet.
    mode: how far it is given into this edge server's hands, by whom, why and since when."""

    kind: ClassVar[str] = "signal"
    id: str
    name: str
    controller: str
    control: Literal["local", "edge", "flash", "unknown"] = "unknown"
    phases: tuple[PhaseView, ...] = ()
    target: tuple[int, ...] = ()
    calls: tuple[int, ...] = ()
    lease: LeaseView | None = None
    refusal: str | None = None
    fault: str | None = None
    decision: DecisionView | None = None
    received_ms: int | None = None
    mode: Mode = "act"
    mode_by: str = ""
    mode_reason: str = ""
    mode_ms: int = 0
    would: WouldView | None = None
    proposal: ProposalView | None = None


class ClaimShown(View):
    """What a vehicle wants, or holds until until_ms at most. arrival_ms: at the stop line. All on the wall clock."""

    vehicle: str
    role: str
    level: Literal["preempt", "priority"]
    importance: int
    approach: str
    egress: str
    phases: tuple[int, ...]
    arrival_ms: int
    asked_ms: int
    until_ms: int | None


class PriorityView(Shown):
    """Who has the signals of one intersection, or wants them. recovering: the phase whose turn it is after a lease, 0
    while that is not known yet."""

    kind: ClassVar[str] = "priority"
    id: str
    holder: ClaimShown | None = None
    queue: tuple[ClaimShown, ...] = ()
    higher: dict[str, Literal["railway", "bridge", "other-system"]] = {}
    recovering: int | None = None
    cameras: tuple[str, ...] = ()


class CameraView(Shown):
    kind: ClassVar[str] = "camera"
    id: str
    device: str
    approach: str | None = None
    state: Literal["starting", "running", "stalled", "failed", "unknown"] = "unknown"
    calibrated: bool = False
    width_px: int | None = None
    height_px: int | None = None
    frames_per_s: float = 0.0
    restarts: int = 0
    detail: str = ""


class DeviceView(Shown):
    """silent: its connection stands, and it has said nothing for a while. update: one that is under way, or that did
    not stay, with its reason."""

    kind: ClassVar[str] = "device"
    id: str
    name: str = ""
    role: Role
    state: Literal["online", "silent", "offline"]
    reason: str = ""
    born_ms: int
    heard_ms: int
    software: str = ""
    hardware: str = ""
    intersection: str | None = None
    simulated: bool = False
    uptime_s: float | None = None
    rss_mb: float | None = None
    cpu_percent: float | None = None
    disk_free_mb: float | None = None
    temperature_c: float | None = None
    outbox_messages: int | None = None
    update: str | None = None
    clock: str | None = None


class VehicleView(Shown):
    """A vehicle's own word for where it is; it changes no signal."""

    kind: ClassVar[str] = "vehicle"
    id: str
    role: str
    longitude: float
    latitude: float
    heading_deg: float
    speed_mps: float
    beacons: bool
    received_ms: int


class AlarmView(Shown):
    """id: the row that raised it in the store. correction: the record by which a person called it false, if any."""

    kind: ClassVar[str] = "alarm"
    id: int
    source: str
    alarm: str
    subject: str
    severity: Severity
    active: bool
    text: str
    code: str | None = None
    at_ms: int
    received_ms: int
    cleared_ms: int | None = None
    correction: int | None = None


class EventView(Shown):
    """One line of the log. id is the cursor for the next page; what: a slug."""

    kind: ClassVar[str] = "event"
    id: int
    at_ms: int
    what: str
    severity: Severity
    device: str
    subject: str
    text: str
    code: str | None = None


class CorrectionView(Shown):
    """What a person said was wrong: an alarm that was none, or a class, where `congestion` is what it really was."""

    kind: ClassVar[str] = "correction"
    id: int
    made_ms: int
    mistake: Mistake
    alarm: int | None = None
    source: str = ""
    camera: str = ""
    approach: str = ""
    at_ms: int = 0
    said: Congestion | None = None
    congestion: Congestion | None = None
    note: str = ""


class ServerView(Shown):
    """The edge server itself. broker_connected: without a broker it hears nobody. disk: how little room its store has
    left; given_up: readings that it did not store for want of room, since its start."""

    kind: ClassVar[str] = "server"
    id: str = SERVER
    device: str
    version: str
    broker_connected: bool
    disk: Stage = "ok"
    disk_free_mb: float | None = None
    given_up: int = 0


class HistoryPoint(View):
    """An approach's index at one time. index is null while it was learning, and the interval then covers the prior."""

    at_ms: int
    status: Status
    index: float | None
    low: float
    high: float
    queue_m: float | None = None
    congestion: Congestion | None = None


class StateView(View):
    """Everything that the dashboard shows, at one instant. A stream resumes after `revision`. Events: oldest first."""

    now_ms: int
    revision: str
    approaches: tuple[ApproachView, ...]
    signals: tuple[SignalView, ...]
    cameras: tuple[CameraView, ...]
    devices: tuple[DeviceView, ...]
    vehicles: tuple[VehicleView, ...]
    alarms: tuple[AlarmView, ...]
    corrections: tuple[CorrectionView, ...]
    events: tuple[EventView, ...]
    servers: tuple[ServerView, ...]
    priorities: tuple[PriorityView, ...] = ()


class CommandView(View):
    """A question to a device, under way. command: the id under which its answers appear on MQTT."""

    command: str
    device: str


class LaneSite(View):
    id: str
    width_m: float
    phases: tuple[int, ...]


class ApproachSite(View):
    """An approach as it is drawn: `line` in degrees, with the traffic, ending at the stop line."""

    id: str
    name: str
    intersection: str | None
    camera: str | None
    line: tuple[tuple[float, float], ...]
    road_width_m: float
    visible_length_m: float
    speed_limit_mps: float
    lanes: tuple[LaneSite, ...]


class IntersectionSite(View):
    id: str
    name: str
    position: tuple[float, float]
    controller: str


class SiteView(View):
    """id is null while no site file is there."""

    id: str | None = None
    name: str = ""
    simulated: bool = False
    edge: str
    intersections: tuple[IntersectionSite, ...] = ()
    approaches: tuple[ApproachSite, ...] = ()
