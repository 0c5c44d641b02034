"""Where a box in the picture stands on the road.

A box's lower edge is where a vehicle meets the road, but its middle isn't the middle of the vehicle's near end: a
vehicle seen from the side shows its flank, and its top leans away from the camera. So a solid of its class's usual size
is put on the road, projected, and moved until the lower middle of its box is where the seen one is.

Source: Hartley and Zisserman, Multiple View Geometry, 2nd edition, 8.1: the plane's homography is the camera without
its third column, and the camera's place is what the whole camera sends to nothing, which gives that column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.traffic.calibration import Calibration
from agent.traffic.track import Box
from models.vision.detector import Label

# Length, width and height in metres; what a person on a motorcycle or bicycle adds is in the height.
SIZES_M: dict[Label, tuple[float, float, float]] = {
    "car": (4.5, 1.8, 1.5),
    "bus": (12.0, 2.5, 3.2),
    "truck": (8.5, 2.5, 3.3),
    "motorcycle": (2.2, 0.8, 1.6),
    "bicycle": (1.8, 0.6, 1.75),
    "person": (0.5, 0.6, 1.7),
    "ambulance": (6.0, 2.1, 2.6),
    "police_car": (4.7, 1.85, 1.5),
    "fire_engine": (8.2, 2.5, 3.2),
    "other_vehicle": (2.8, 1.4, 1.8),
}
_ROUNDS = 4
_NOWHERE = 1e-9
_PIXEL_STEPS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
# Ground further than this many visible lengths away is beyond what a homography of the road can tell.
_FARTHEST_LENGTHS = 4.0
# The solid's corners, as shares of its width, length and height.
_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0.0, 1.0) for z in (0.0, 1.0)])


@dataclass(frozen=True)
class Place:
    """x_m, y_m: the middle of the near end on the road. x_m_per_px, y_m_per_px: what a pixel there stands for."""

    x_m: float
    y_m: float
    x_m_per_px: float
    y_m_per_px: float


class OnRoad:
    """One calibration's way from boxes to the road."""

    def __init__(self, calibration: Calibration) -> None:
        view = calibration.viewpoint
        plane = calibration.road_to_picture
        # The sign that makes what lies on the road before the camera positive.
        middle = plane @ [calibration.road_width_m / 2, calibration.visible_length_m / 2, 1.0]
        plane = plane * np.sign(middle[2])
        height = -(plane @ [view.x_m, view.y_m, 1.0]) / view.height_m
        self._camera = np.column_stack([plane[:, 0], plane[:, 1], height, plane[:, 2]])
        self._road = np.linalg.inv(plane)
        self._farthest_m = _FARTHEST_LENGTHS * calibration.visible_length_m
        self._widest_m = _FARTHEST_LENGTHS * max(calibration.road_width_m, calibration.visible_length_m)

    def places(self, boxes: Sequence[Box], labels: Sequence[Label], foot_hidden: Sequence[bool]) -> list[Place | None]:
        """None where a box doesn't stand on the road before the camera (above the horizon, or far beyond).

        foot_hidden: something nearer covers the box's lower edge; its upper one and the usual height then tell.
        """
        if not boxes:
            return []
        seen = np.array(boxes, np.float64)
        sizes = np.array([SIZES_M[label] for label in labels])
        hidden = np.array(foot_hidden)
        aim = np.column_stack([(seen[:, 0] + seen[:, 2]) / 2, seen[:, 3]])
        for _ in range(_ROUNDS):
            low, high = self._outlines(self._ground(aim), sizes)
            off_x = (seen[:, 0] + seen[:, 2] - low[:, 0] - high[:, 0]) / 2
            off_y = np.where(hidden, seen[:, 1] - low[:, 1], seen[:, 3] - high[:, 1])
            aim = aim + np.column_stack([off_x, off_y])
        at, beside, below = (self._ground(aim + offset) for offset in _PIXEL_STEPS)
        told = np.isfinite(at + beside + below).all(axis=1)
        told &= (np.abs(at[:, 1]) < self._farthest_m) & (np.abs(at[:, 0]) < self._widest_m)
        x_m, y_m = at[:, 0].tolist(), at[:, 1].tolist()
        x_scale, y_scale = np.abs(beside - at)[:, 0].tolist(), np.abs(below - at)[:, 1].tolist()
        return [
            Place(*one) if is_told else None
            for is_told, one in zip(told.tolist(), zip(x_m, y_m, x_scale, y_scale, strict=True), strict=True)
        ]

    def box(self, x_m: float, y_m: float, label: Label) -> Box | None:
        """Where a thing of this class with its near end there shows, in pixels; None where not before the camera."""
        low, high = self._outlines(np.array([[x_m, y_m]]), np.array([SIZES_M[label]]))
        found = np.concatenate([low[0], high[0]])
        return (found[0], found[1], found[2], found[3]) if np.isfinite(found).all() else None

    def _ground(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """n x 2 pixels to n x 2 metres; NaN for what isn't below the horizon."""
        x, y, w = self._road @ np.column_stack([points, np.ones(len(points))]).T
        w = np.where(w > _NOWHERE, w, np.nan)
        return np.column_stack([x / w, y / w])

    def _outlines(
        self, at: NDArray[np.float64], sizes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Upper left and lower right of the boxes, in pixels, of solids with their near ends there; NaN for those that
        aren't wholly before the camera."""
        corners = _CORNERS[None] * sizes[:, None, [1, 0, 2]]
        corners[:, :, :2] += at[:, None, :]
        seen = corners @ self._camera[:, :3].T + self._camera[:, 3]
        depth = np.where(seen[:, :, 2:] > _NOWHERE, seen[:, :, 2:], np.nan)
        pixels = seen[:, :, :2] / depth
        return pixels.min(axis=1), pixels.max(axis=1)
