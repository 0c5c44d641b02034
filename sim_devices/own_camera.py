"""A camera of the user's own beside the simulated city: one more road, watched by a real agent."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from agent.camera.opening import camera_id_from
from protocol.geo import to_lonlat
from protocol.ids import ApproachId, DeviceId, LaneId
from protocol.site import Approach, Lane, Site

DEVICE = DeviceId("own-camera")
LANE_WIDTH_M = 3.5
# Where the road is drawn on the map: south of the city, as long as what the camera sees.
BELOW_CITY_M = -330.0


@dataclass(frozen=True)
class OwnCamera:
    """source: a file, rtsp://, http://, /dev/videoN or picamera. road: pixels as `--road` takes them, or None."""

    source: str
    road_width_m: float
    road_length_m: float
    road: str | None = None

    @property
    def approach(self) -> ApproachId:
        return ApproachId(camera_id_from(self.source))

    def arguments(self) -> list[str]:
        """Of `kinflow agent run`."""
        sized = ["--road-width", str(self.road_width_m), "--road-length", str(self.road_length_m)]
        return ["--camera", self.source, *sized, *(["--road", self.road] if self.road else [])]


def with_own_road(site: Site, camera: OwnCamera) -> Site:
    """The site with the camera's road as one that is watched and steered by nobody."""
    origin = site.intersections[0].position
    lanes = max(1, round(camera.road_width_m / LANE_WIDTH_M))
    road = Approach(
        id=camera.approach,
        name=f"Your camera: {camera.approach}",
        line=(to_lonlat(0.0, BELOW_CITY_M, origin), to_lonlat(camera.road_length_m + 60.0, BELOW_CITY_M, origin)),
        speed_limit_mps=13.9,
        camera=camera_id_from(camera.source),
        road_width_m=camera.road_width_m,
        visible_length_m=camera.road_length_m,
        lanes=tuple(Lane(id=LaneId(f"lane-{number + 1}")) for number in range(lanes)),
    )
    return replace(site, watched=(road,))
