"""One approach of the city, as its camera's road frame (see sim_devices.render.camera)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import atan2, cos, hypot, radians, sin

from sim_devices.city.layout import Arm, CityLayout
from sim_devices.city.network import Network
from sim_devices.city.site import VISIBLE_LENGTH_M
from sim_devices.city.vehicle import CityVehicle
from sim_devices.render.road import Road
from sim_devices.render.vehicle import RoadVehicle

REACH_M = 190.0


@dataclass(frozen=True)
class ApproachView:
    """origin: where the kerb meets the stop line, (east, north). upstream: unit vector against the traffic."""

    approach: str
    road: Road
    origin: tuple[float, float]
    upstream: tuple[float, float]

    def look(self, vehicles: Iterable[CityVehicle]) -> list[RoadVehicle]:
        """Those near this approach, in its road frame."""
        ux, uy = self.upstream
        # The picture's right is the driver's left: upstream turned clockwise.
        rx, ry = uy, -ux
        found = []
        for one in vehicles:
            dx, dy = one.x_m - self.origin[0], one.y_m - self.origin[1]
            along, across = dx * ux + dy * uy, dx * rx + dy * ry
            if not (-40.0 < along < REACH_M and abs(across) < 60.0):
                continue
            heading = radians(one.heading_deg)
            east, north = sin(heading), cos(heading)
            turned = atan2(east * rx + north * ry, -(east * ux + north * uy))
            found.append(
                RoadVehicle(
                    one.id,
                    one.kind,
                    across,
                    along,
                    one.speed_mps,
                    turned,
                    one.length_m,
                    one.width_m,
                    one.height_m,
                    one.beacons,
                )
            )
        return found


def view_of(arm: Arm, layout: CityLayout, network: Network) -> ApproachView:
    lanes = network.lanes[arm.approach]
    (bx, by), (ex, ey) = lanes[0].shape[-2], lanes[0].shape[-1]
    length = hypot(ex - bx, ey - by)
    ux, uy = (bx - ex) / length, (by - ey) / length
    half = lanes[0].width_m / 2
    road = Road(
        lane_widths_m=tuple(lane.width_m for lane in lanes),
        visible_length_m=VISIBLE_LENGTH_M,
        opposite_widths_m=tuple(lane.width_m for lane in reversed(network.lanes[arm.leaving])),
        arrows=layout.turns,
    )
    return ApproachView(arm.approach, road, (ex - uy * half, ey + ux * half), (ux, uy))
