"""Four points in the picture and the road's size in metres: the ground plane, and where the camera hangs.

Road coordinates: x in metres from the left edge, y in metres from the near edge (the stop line) away from the camera.
Source: Hartley and Zisserman, Multiple View Geometry, 2nd edition: homography from four points (4.1), camera from a
plane's homography (8.1). The principal point is taken to be the picture's centre and pixels to be square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.errors import (
    RoadPointsCollinear,
    RoadPointsCrossed,
    RoadPointsMalformed,
    RoadPointsOutside,
    RoadSizeInvalid,
)

Points = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
Matrix = NDArray[Any]

WIDTH_LIMIT_M = 100.0
LENGTH_LIMIT_M = 500.0
LANE_WIDTH_M = 3.5
# A corner flatter than this (sine of its angle) can't fix a plane: a click's error of a pixel would move metres.
_FLATTEST_CORNER = 0.01
# Where people hang traffic cameras; a rectangle clicked a little wrong otherwise puts the camera underground.
_HEIGHT_RANGE_M = (3.0, 40.0)


@dataclass(frozen=True)
class Viewpoint:
    """Where the camera is, in road coordinates: height_m above the road, over the point x_m, y_m (y_m is negative when
    the camera stands before the stop line)."""

    height_m: float
    x_m: float
    y_m: float


@dataclass(frozen=True)
class Calibration:
    """A rectangle on the road. points: pixels, near left, near right, far right, far left. picture: width and height in
    pixels. calibrated is False where a person has not confirmed the points."""

    points: Points
    road_width_m: float
    visible_length_m: float
    picture: tuple[int, int]
    lanes: int = 1
    calibrated: bool = True

    @property
    def area_m2(self) -> float:
        return self.road_width_m * self.visible_length_m

    @cached_property
    def road_to_picture(self) -> Matrix:
        """3 x 3: metres on the road to pixels."""
        w, v = self.road_width_m, self.visible_length_m
        corners = np.array([[0, 0], [w, 0], [w, v], [0, v]], np.float32)
        return cv2.getPerspectiveTransform(corners, np.array(self.points, np.float32)).astype(np.float64)

    @cached_property
    def picture_to_road(self) -> Matrix:
        return np.linalg.inv(self.road_to_picture)

    @cached_property
    def viewpoint(self) -> Viewpoint:
        return _viewpoint(self.road_to_picture, self.picture, self.road_width_m)

    def to_picture(self, road: NDArray[Any]) -> NDArray[Any]:
        """Metres to pixels, n x 2."""
        return _project(self.road_to_picture, road)

    def to_road(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels to metres on the road's plane, n x 2."""
        return _project(self.picture_to_road, pixels)

    def scaled(self, picture: tuple[int, int]) -> Calibration:
        """The same rectangle in a picture of another size: a camera's sub-stream."""
        if picture == self.picture:
            return self
        fx, fy = picture[0] / self.picture[0], picture[1] / self.picture[1]
        a, b, c, d = ((x * fx, y * fy) for x, y in self.points)
        return Calibration((a, b, c, d), self.road_width_m, self.visible_length_m, picture, self.lanes, self.calibrated)


def calibrate(
    points: Points,
    road_width_m: float,
    visible_length_m: float,
    picture: tuple[int, int],
    *,
    lanes: int = 0,
    calibrated: bool = True,
) -> Calibration:
    """Check what a person gave and make a Calibration of it. lanes: 0 counts them from the road's width.

    Raises RoadSizeInvalid, RoadPointsOutside, RoadPointsCollinear or RoadPointsCrossed (KF64 to KF67).
    """
    check_size(road_width_m, visible_length_m)
    width_px, height_px = picture
    for x, y in points:
        if not (-0.5 <= x <= width_px + 0.5 and -0.5 <= y <= height_px + 0.5):
            raise RoadPointsOutside(x_px=x, y_px=y, width_px=width_px, height_px=height_px)
    check_corners(points)
    return Calibration(points, road_width_m, visible_length_m, picture, lanes or lanes_across(road_width_m), calibrated)


def check_corners(points: Points) -> None:
    """Raise RoadPointsCollinear (KF64) or RoadPointsCrossed (KF65) unless a rectangle on the ground can look so."""
    turns = _turns(points)
    if min(abs(turn) for turn in turns) < _FLATTEST_CORNER:
        raise RoadPointsCollinear()
    # Pixel rows grow downwards: near left, near right, far right, far left turns against the clock as seen.
    if not all(turn < 0 for turn in turns):
        raise RoadPointsCrossed()


def check_size(road_width_m: float, visible_length_m: float) -> None:
    """Raise RoadSizeInvalid (KF67) unless both are sizes that a road can have."""
    for which, given, limit_m in (
        ("width", road_width_m, WIDTH_LIMIT_M),
        ("length", visible_length_m, LENGTH_LIMIT_M),
    ):
        if not (math.isfinite(given) and 0 < given <= limit_m):
            raise RoadSizeInvalid(which=which, given=f"{given:g} m", limit_m=limit_m)


def lanes_across(road_width_m: float) -> int:
    return max(1, round(road_width_m / LANE_WIDTH_M))


def parse_points(text: str) -> Points:
    """Read x1,y1,…,x4,y4; RoadPointsMalformed (KF68) for anything else."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 8 or not all(math.isfinite(number) for number in numbers):
        raise RoadPointsMalformed(text=text[:100])
    a, b, c, d, e, f, g, h = numbers
    return ((a, b), (c, d), (e, f), (g, h))


def propose(road_width_m: float, visible_length_m: float, picture: tuple[int, int], lanes: int = 0) -> Calibration:
    """A rectangle for a camera that nobody has calibrated: where a road lies in the usual roadside picture."""
    w, h = picture
    points = ((0.12 * w, 0.97 * h), (0.88 * w, 0.97 * h), (0.64 * w, 0.40 * h), (0.36 * w, 0.40 * h))
    return calibrate(points, road_width_m, visible_length_m, picture, lanes=lanes, calibrated=False)


def _turns(points: Points) -> list[float]:
    """The sine of the turn at each corner; the sign tells its direction."""
    sines = []
    for i in range(4):
        (x0, y0), (x1, y1), (x2, y2) = points[i - 1], points[i], points[(i + 1) % 4]
        ax, ay, bx, by = x1 - x0, y1 - y0, x2 - x1, y2 - y1
        size = math.hypot(ax, ay) * math.hypot(bx, by)
        sines.append((ax * by - ay * bx) / size if size else 0.0)
    return sines


def _project(matrix: Matrix, points: NDArray[Any]) -> NDArray[Any]:
    return cv2.perspectiveTransform(np.asarray(points, np.float64).reshape(-1, 1, 2), matrix).reshape(-1, 2)


def _viewpoint(road_to_picture: Matrix, picture: tuple[int, int], road_width_m: float) -> Viewpoint:
    w, h = picture
    centred = np.array([[1.0, 0.0, -w / 2], [0.0, 1.0, -h / 2], [0.0, 0.0, 1.0]]) @ road_to_picture
    focal_px = _focal_length(centred, default=float(max(w, h)))
    rays = np.diag([1 / focal_px, 1 / focal_px, 1.0]) @ centred
    scale = (np.linalg.norm(rays[:, 0]) + np.linalg.norm(rays[:, 1])) / 2
    first, second, offset = (rays / scale).T
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    rotation = np.column_stack([first, second, np.cross(first, second)])
    x_m, y_m, z_m = -np.linalg.solve(rotation, offset)
    height_m = float(np.clip(abs(z_m), *_HEIGHT_RANGE_M))
    # The camera of a road stands at its near end, within some widths of it.
    return Viewpoint(height_m, float(np.clip(x_m, -2 * road_width_m, 3 * road_width_m)), float(min(y_m, 0.0)))


def _focal_length(centred: Matrix, default: float) -> float:
    """In pixels, from the two constraints that the road's axes are orthogonal and equally scaled: least squares in
    1/f²."""
    a, b = centred[:, 0], centred[:, 1]
    rows = np.array([[a[0] * b[0] + a[1] * b[1], a[2] * b[2]], [a[:2] @ a[:2] - b[:2] @ b[:2], a[2] ** 2 - b[2] ** 2]])
    weights = np.array([np.linalg.norm(a) * np.linalg.norm(b), max(a @ a, b @ b)])
    rows /= weights[:, None]
    denominator = rows[:, 0] @ rows[:, 0]
    inverse_square = -(rows[:, 0] @ rows[:, 1]) / denominator if denominator > 0 else 0.0
    if inverse_square <= 0:
        return default
    return float(np.clip(1 / math.sqrt(inverse_square), 0.4 * default, 4 * default))
