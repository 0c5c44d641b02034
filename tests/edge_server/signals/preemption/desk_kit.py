"""A whole edge of one crossing without a network: signals, pre-emption, a controller without sense, real files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_server.events import HeartbeatReceived, ObservationReceived, PriorityRequested
from edge_server.signals.preemption.desk import Listeners, PreemptionDesk
from edge_server.signals.preemption.signature import sign
from edge_server.signals.preemption.vehicles import FILE_NAME, VehicleEntry, VehicleFile, write_file
from edge_server.signals.service import SignalService
from node.clock import ManualClock
from node.identity import Identity
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages import CommandOutcome, Estimate, Lease, Observation, PriorityRequest, PriorityStatus, Quality
from protocol.site import Site
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, site

EDGE = DeviceId("edge-a")
KEYS = {name: Ed25519PrivateKey.generate() for name in ("ambulance-1", "ambulance-2", "police-1", "bus-1")}
STRANGER = Ed25519PrivateKey.generate()


def enter_vehicles(home: Path, **fields: Any) -> None:
    """Every vehicle of KEYS, in the role that its name says."""
    entries = tuple(
        VehicleEntry(id=name, role=name.rpartition("-")[0], key=public(key), **fields) for name, key in KEYS.items()
    )
    write_file(home / FILE_NAME, VehicleFile(entries))


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


class Edge:
    """run() lets time pass in quarters of a second: lamps, heartbeat, decisions, commands."""

    def __init__(self, home: Path, of: Site | None = None, clock: ManualClock | None = None) -> None:
        self.home = home
        self.site = of or site()
        self.clock = clock or ManualClock(monotonic_ms=100_000)
        self.plant = Plant(crossing())
        self.statuses: list[PriorityStatus] = []
        self.alarms: list[tuple[str, str, bool]] = []
        self.told: list[Any] = []
        self.sent = 0
        self.epoch = 1
        self.control = "edge"
        self.holder = EDGE
        self._controller = Identity(DeviceId("controller-north"), self.clock)
        self._last: Any = None
        self._sequences = dict.fromkeys(KEYS, 0)
        self.start()

    def start(self) -> None:
        identity = Identity(EDGE, self.clock)
        self.desk = PreemptionDesk(self.site, identity, self.home)
        self.service = SignalService(
            self.site, identity, self._command, record=lambda _: None, report=lambda _: None, guide=self.desk
        )
        self.desk.attach(
            Listeners(
                send=lambda _, status: self.statuses.append(status),
                told=lambda *what: self.told.append(what),
                changed=self.service.nudge,
                standing=self.service.standing,
                shown=self.service.shown,
                alarm=lambda name, error, active: self.alarms.append((name, error.code, active)),
            )
        )

    def restart(self, down_s: float = 0.0) -> None:
        self.desk.stop()
        self.clock.advance(round(down_s * 1000))
        self.plant.advance(round(down_s * 1000))
        self.start()

    def message(self, vehicle: str = "ambulance-1", approach: str = "north-n", **fields: Any) -> PriorityRequest:
        key = fields.pop("key", KEYS.get(vehicle))
        self._sequences[vehicle] = self._sequences.get(vehicle, 0) + 1
        base = {
            "site": "test",
            "intersection": "north",
            "action": "request",
            "request": 1,
            "sequence": self._sequences[vehicle],
            "role": vehicle.rpartition("-")[0],
            "approach": approach,
            "evidence": ("beacons",),
        }
        request = PriorityRequest(**{**Identity(DeviceId(vehicle), self.clock).live(), **base, **fields})
        return sign(request, key) if key is not None else request

    def ask(self, vehicle: str = "ambulance-1", approach: str = "north-n", **fields: Any) -> PriorityStatus:
        status = self.desk.ask(self.message(vehicle, approach, **fields))
        self.desk.flush()
        return status

    def refused(self, message: PriorityRequest) -> str:
        try:
            self.desk.ask(message)
        except KinflowError as error:
            return error.code
        finally:
            self.desk.flush()
        return ""

    def see(self, approach: str = "north-n", emergency: str = "requested") -> None:
        zero = Estimate(0.0, 0.0, 0.0)
        observation = Observation(
            **self._controller.live(), camera="cam", approach=approach, captured_ms=0, captured_mono_ms=0, frame=1,
            sensor="camera", status="ok", calibrated=True, occupancy=zero, index=zero, congestion="free",
            quality=Quality(1.0), count=zero, emergency=emergency,
        )  # fmt: skip
        self.desk.handle(
            ObservationReceived(observation=observation, age_ms=0, live=True, received_ms=0, received_mono_ms=0)
        )
        self.desk.flush()

    def hear(self, message: PriorityRequest) -> None:
        """As the bus brings it."""
        self.desk.handle(PriorityRequested(request=message))
        self.desk.flush()

    def run(self, seconds: float, *renewing: tuple[str, str]) -> None:
        for at in range(round(seconds * 4)):
            if at % 4 == 0:
                for vehicle, approach in renewing:
                    self.hear(self.message(vehicle, approach, action="renew"))
            self.clock.advance(250)
            self.plant.advance(250)
            beat = self.plant.heartbeat()
            fields = {name: getattr(beat, name) for name in beat.__struct_fields__}
            fields["lease"] = Lease(self.holder, self.epoch, 3_000) if self.holder != EDGE or self.sent else None
            fields["highest_epoch"] = self.epoch
            fields["last_command"] = CommandOutcome(self._last) if self._last else None
            fields["control"] = self.control
            now_ms = self.clock.monotonic_ms()
            self.service.handle(
                HeartbeatReceived(heartbeat=type(beat)(**fields), received_ms=0, received_mono_ms=now_ms)
            )
            self.service.tick()
            self.desk.flush()
            assert self.plant.violations == []

    def _command(self, _: DeviceId, command: Any) -> bool:
        self.sent += 1
        self.epoch = command.epoch
        self._last = command.id
        self.plant.obey(frozenset(command.phases), cuts_walk=command.cuts_walk)
        return True
