"""A camera of the user's own beside the simulated city: one more road, watched by a real agent."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

from msgspec.structs import replace

from agent.camera.opening import camera_id_from, check_source, open_camera
from agent.camera.port import Image
from agent.traffic.calibration import calibrate, check_corners, check_size, parse_points
from node.clock import Clock
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


def checked(camera: OwnCamera, clock: Clock) -> OwnCamera:
    """The camera with the whole path of its file. Whatever can be known to be wrong is better known before a city is
    started: a file is opened and its first picture read; another source is tried by its agent, again and again.

    Raises SourceUnknown (KF61), RoadSizeInvalid (KF67), what is wrong with the road's points (KF64 to KF66, KF68), and
    what a file that can't be read raises (KF55, KF56, KF60).
    """
    check_size(camera.road_width_m, camera.road_length_m)
    points = None if camera.road is None else parse_points(camera.road)
    if points is not None:
        check_corners(points)
    if check_source(camera.source) or camera.source.startswith("picamera"):
        return camera
    picture = _first_picture(camera.source, clock)
    if points is not None and picture is not None:
        height_px, width_px = picture.shape[:2]
        calibrate(points, camera.road_width_m, camera.road_length_m, (width_px, height_px))
    return changed(camera, source=str(Path(camera.source).resolve()))


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


def _first_picture(source: str, clock: Clock) -> Image | None:
    with closing(open_camera(source, clock)) as opened:
        frame = opened.read()
    return None if frame is None else frame.image
