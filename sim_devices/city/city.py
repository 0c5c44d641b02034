"""The whole simulated city: what stands there, and what drives there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from protocol.ids import CameraId, IntersectionId, PhaseId
from protocol.messages.heartbeat import Aspect
from protocol.site import Site
from sim_devices.city.demand import Demand
from sim_devices.city.layout import CityLayout
from sim_devices.city.net import prepare_net
from sim_devices.city.network import Network, read_network
from sim_devices.city.site import camera_of, make_site, phase_links
from sim_devices.city.sumo import STEP_S, EmergencyModel, SumoCity
from sim_devices.city.vehicle import CityVehicle
from sim_devices.city.view import ApproachView, view_of

Aspects = Mapping[IntersectionId, Mapping[PhaseId, Aspect]]


@dataclass(frozen=True)
class CityPlan:
    """What doesn't move. links: for each intersection, the signal links of each phase. views: what each camera sees."""

    layout: CityLayout
    network: Network
    site: Site
    links: Mapping[str, Mapping[PhaseId, tuple[int, ...]]]
    views: Mapping[CameraId, ApproachView]


def plan_city(layout: CityLayout, home: Path) -> CityPlan:
    """Make the city of this layout, or find it below home/sim. Raises SumoMissing (KF95) or CityBuildFailed (KF96)."""
    network = read_network(prepare_net(layout, home))
    arms = layout.arms()
    return CityPlan(
        layout=layout,
        network=network,
        site=make_site(layout, network),
        links={name: phase_links(network, arms, name) for name in layout.junctions()},
        views={camera_of(arm.approach): view_of(arm, layout, network) for arm in arms},
    )


class Traffic:
    """What drives. Deterministic by seed and by the aspects that it is shown. One in a process (see SumoCity)."""

    def __init__(
        self, plan: CityPlan, seed: int, level: str = "normal", emergency: EmergencyModel = "obeys-signals"
    ) -> None:
        self.sumo = SumoCity(plan.network, plan.links, seed, STEP_S, emergency)
        self._demand = Demand(plan.layout, plan.network, seed, level)

    @property
    def time_s(self) -> float:
        return self.sumo.time_s

    def advance(self, aspects: Aspects) -> list[CityVehicle]:
        """One step of STEP_S seconds under these aspects; what is not named is red. Raises SumoStopped (KF97)."""
        for intersection, shown in aspects.items():
            self.sumo.set_aspects(intersection, shown)
        for trip in self._demand.until(self.sumo.time_s + self.sumo.step_s):
            self.sumo.send(trip)
        self.sumo.step()
        return self.sumo.vehicles()

    def close(self) -> None:
        self.sumo.close()
