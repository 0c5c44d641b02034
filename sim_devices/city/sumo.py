"""SUMO, behind a small class. It moves vehicles; signals are ours.

libsumo holds one simulation in a process and must be called from one thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Literal

from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect
from sim_devices.city.demand import Trip
from sim_devices.city.net import sumo_home
from sim_devices.city.network import Network
from sim_devices.city.vehicle import CityVehicle
from sim_devices.errors import SumoMissing, SumoStopped
from sim_devices.render.vehicle import EMERGENCY_KINDS, KINDS, SIZES, Kind

# How emergency vehicles drive. `obeys-signals`: 1.2 times as fast as allowed, stops at red. `bluelight`: SUMO's device
# of that name, which runs reds and makes others give way. A figure about them must name which.
EmergencyModel = Literal["obeys-signals", "bluelight"]

STEP_S = 0.2
WAITING_LIMIT = 60
_SIGNS = {"green": "G", "yellow": "y"}
_CLASSES: dict[Kind, str] = {
    "car": "passenger", "van": "delivery", "bus": "bus", "truck": "truck", "motorcycle": "motorcycle",
    "bicycle": "bicycle", "ambulance": "emergency", "fire-engine": "emergency", "police": "emergency",
    "three-wheeler": "taxi", "person": "pedestrian",
}  # fmt: skip


class SumoCity:
    """The moving city. Nothing is teleported: what is stuck stays stuck.

    step_s: seconds of simulated time that one step takes. Deterministic by seed and by what is asked of it.
    """

    def __init__(
        self, network: Network, links: Mapping[str, Mapping[PhaseId, tuple[int, ...]]], seed: int,
        step_s: float = STEP_S, emergency: EmergencyModel = "obeys-signals",
    ) -> None:  # fmt: skip
        """links: for each junction, the link indices of each phase. Raises SumoMissing (KF95), SumoStopped (KF97)."""
        self._network = network
        self._links = links
        self._emergency = emergency
        self.step_s = step_s
        self.steps = 0
        self.collisions = 0
        self.refused = 0
        self.finished = 0
        self._trips: dict[str, Trip] = {}
        self._routes: set[str] = set()
        self._waiting: list[Trip] = []
        self._sumo = self._load(seed)

    @property
    def time_s(self) -> float:
        return self.steps * self.step_s

    def _load(self, seed: int) -> Any:
        home = sumo_home()
        try:
            sumo: Any = importlib.import_module("libsumo")
        except ImportError as error:
            raise SumoMissing(detail=str(error)) from error
        command = [
            str(home / "bin" / "sumo"), "--net-file", str(self._network.path), "--step-length", str(self.step_s),
            "--seed", str(seed), "--time-to-teleport", "-1", "--collision.action", "warn",
            "--collision.check-junctions", "true", "--lanechange.duration", "2", "--no-step-log", "true",
            "--no-warnings", "true", "--duration-log.disable", "true",
        ]  # fmt: skip
        if sumo.isLoaded():
            raise RuntimeError("libsumo holds one simulation in a process: close the other one first")
        try:
            sumo.start(command)
            for kind in KINDS:
                self._define(sumo, kind)
            for junction in self._links:
                self._all_red(sumo, junction)
        except (sumo.TraCIException, sumo.FatalTraCIError) as error:
            raise SumoStopped(time_s=0, detail=str(error)) from error
        return sumo

    def _define(self, sumo: Any, kind: Kind) -> None:
        length, width, height = SIZES[kind]
        sumo.vehicletype.copy("DEFAULT_VEHTYPE", kind)
        sumo.vehicletype.setVehicleClass(kind, _CLASSES[kind])
        sumo.vehicletype.setLength(kind, length)
        sumo.vehicletype.setWidth(kind, width)
        sumo.vehicletype.setHeight(kind, height)
        sumo.vehicletype.setMinGap(kind, 1.5 if kind == "motorcycle" else 2.2)
        heavy = kind in ("bus", "truck", "fire-engine")
        sumo.vehicletype.setAccel(kind, 1.3 if heavy else 2.4)
        sumo.vehicletype.setMaxSpeed(kind, 22.0 if heavy else 33.0)
        sumo.vehicletype.setSpeedFactor(kind, 1.2 if kind in EMERGENCY_KINDS else 1.0)
        if kind in EMERGENCY_KINDS and self._emergency == "bluelight":
            sumo.vehicletype.setParameter(kind, "has.bluelight.device", "true")

    def _all_red(self, sumo: Any, junction: str) -> None:
        sumo.trafficlight.setRedYellowGreenState(junction, "r" * len(self._network.links[junction]))

    def close(self) -> None:
        self._sumo.close()

    def send(self, trip: Trip) -> None:
        """Let a vehicle enter as soon as there is room."""
        self._waiting.append(trip)

    def set_aspects(self, junction: str, aspects: Mapping[PhaseId, Aspect]) -> str:
        """Show `aspects` at a junction; a phase that is not named is red. Returns SUMO's state, one sign a link."""
        state = ["r"] * len(self._network.links[junction])
        for phase, indices in self._links[junction].items():
            for index in indices:
                state[index] = _SIGNS.get(aspects.get(phase, "red"), "r")
        text = "".join(state)
        self._sumo.trafficlight.setRedYellowGreenState(junction, text)
        return text

    def step(self) -> None:
        """Advance by step_s. Raises SumoStopped (KF97)."""
        sumo = self._sumo
        try:
            self._enter()
            sumo.simulationStep()
        except (sumo.TraCIException, sumo.FatalTraCIError) as error:
            raise SumoStopped(time_s=round(self.time_s, 1), detail=str(error)) from error
        self.steps += 1
        self.collisions += len(sumo.simulation.getCollisions())
        for gone in sumo.simulation.getArrivedIDList():
            self._trips.pop(gone, None)
            self.finished += 1

    def _enter(self) -> None:
        """Trips that find the city full are counted and refused, or a jam would cost ever more."""
        room = WAITING_LIMIT - len(self._sumo.simulation.getPendingVehicles())
        for trip in self._waiting:
            if room <= 0:
                self.refused += 1
                continue
            room -= 1
            route = " ".join(trip.edges)
            if route not in self._routes:
                self._sumo.route.add(route, trip.edges)
                self._routes.add(route)
            self._sumo.vehicle.add(trip.id, route, typeID=trip.kind, departLane="best", departSpeed="max")
            self._trips[trip.id] = trip
        self._waiting.clear()

    def vehicles(self) -> list[CityVehicle]:
        """Everyone on the road now."""
        api = self._sumo.vehicle
        found = []
        for name in api.getIDList():
            trip = self._trips[name]
            x, y = api.getPosition(name)
            length, width, height = SIZES[trip.kind]
            ahead, stop_m = self._ahead(name, trip) if trip.kind in EMERGENCY_KINDS else ((), 0.0)
            found.append(
                CityVehicle(
                    name,
                    trip.kind,
                    x,
                    y,
                    api.getAngle(name),
                    length,
                    width,
                    height,
                    api.getSpeed(name),
                    api.getLaneID(name),
                    trip.beacons,
                    ahead,
                    stop_m,
                )
            )
        return found

    def _ahead(self, name: str, trip: Trip) -> tuple[tuple[str, ...], float]:
        api = self._sumo.vehicle
        at = api.getRouteIndex(name)
        if api.getLaneID(name).startswith(":"):  # within a junction: the road before is behind it
            rest = trip.edges[at + 1 :]
            return rest, self._network.lanes[rest[0]][0].length_m if rest else 0.0
        return trip.edges[at:], max(0.0, self._network.lanes[trip.edges[at]][0].length_m - api.getLanePosition(name))
