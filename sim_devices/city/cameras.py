"""Where the city's cameras hang: known before anything runs, so that agents can be told."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.ids import ApproachId, CameraId, IntersectionId
from sim_devices.city.city import CityPlan
from sim_devices.render.camera import Camera, mount


@dataclass(frozen=True)
class MountedCamera:
    """seed: of this camera's place, picture noise and street. road: pixels of the calibrated rectangle, near-left,
    near-right, far-right, far-left; road_width_m by road_length_m on the ground."""

    id: CameraId
    intersection: IntersectionId
    approach: ApproachId
    seed: int
    camera: Camera
    road: tuple[tuple[float, float], ...]
    road_width_m: float
    road_length_m: float


def mount_cameras(plan: CityPlan, seed: int) -> list[MountedCamera]:
    """One for each approach, in the site's order."""
    mounted: list[MountedCamera] = []
    for intersection in plan.site.intersections:
        for approach in intersection.approaches:
            assert approach.camera is not None
            road = plan.views[approach.camera].road
            own_seed = seed * 1000 + len(mounted)
            camera = mount(road, own_seed)
            corners = tuple((round(float(x), 2), round(float(y), 2)) for x, y in camera.corners(road))
            mounted.append(
                MountedCamera(
                    id=approach.camera,
                    intersection=intersection.id,
                    approach=approach.id,
                    seed=own_seed,
                    camera=camera,
                    road=corners,
                    road_width_m=approach.road_width_m,
                    road_length_m=approach.visible_length_m,
                )
            )
    return mounted
