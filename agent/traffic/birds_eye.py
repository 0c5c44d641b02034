"""The road seen from above: how much edge there is, lane by lane and row by row."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera.port import Image
from agent.traffic.calibration import Calibration
from agent.traffic.haze import SMALL, Samples

Profile = NDArray[np.float32]

ROW_M = 0.5
# The visible height of a car: what hides the road behind it. Lorries are higher and are over-read for it.
VEHICLE_HEIGHT_M = 1.4
_BEFORE_M = 4.0
# Flat metal between two edges of one vehicle: so long on the road's plane, plus a share of what its height hides there.
_FLAT_M, _FLAT_SHARE = 3.0, 0.4
_ROWS_PX = 3
_LANE_PX = 24
# Each lane is looked at in so many strips; its marks and its neighbour's flanks stay out.
COLUMNS = 3
_LANE_SHARE = 0.75
# An edge stronger than this counts no more: one white bumper must not stand for a whole car.
_STRONGEST = 64.0
# The weakest fifth of a picture's gradients is noise, be the road full or empty.
_NOISE_PERCENTILE, _NOISE_FACTOR = 20, 1.0
# Where it is dark, edges are raised to what they would be in daylight: brightness (square root) of a road by day.
_DAYLIGHT_ROOT, _MOST_GAIN = 140.0, 2.5
_MOST_DEHAZED = 5.0
_MARGIN_PX = round(_LANE_PX * (1 - _LANE_SHARE) / 2)
_ACROSS = (0.1, 0.3, 0.5, 0.7, 0.9)
_SQRT = np.round(np.sqrt(np.arange(256) * 255.0)).astype(np.uint8)


@dataclass(frozen=True)
class Rows:
    """Distances of the profile's rows in metres from the near edge of the road; in_picture tells which can be seen."""

    near_m: NDArray[np.floating]
    in_picture: NDArray[np.bool_]


class BirdsEye:
    """One calibration's way from a picture to a profile: strips x rows of ROW_M, near row first; COLUMNS strips to a
    lane, from left to right.

    The rows begin a little before the rectangle and end where the top of a car that stands at its far edge appears, so
    that a vehicle on either edge is seen whole. hole_m: for each row, how long a stretch without edges may lie within
    one vehicle.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        view = calibration.viewpoint
        far_m = self.seen_at(calibration.visible_length_m)
        first, last = -int(_BEFORE_M / ROW_M), int(np.ceil(far_m / ROW_M))
        near_m = np.arange(first, last) * ROW_M
        middle_x = calibration.road_width_m / 2
        at = calibration.to_picture(np.column_stack([np.full_like(near_m, middle_x), near_m + ROW_M / 2]))
        width_px, height_px = calibration.picture
        in_picture = (at[:, 0] >= 0) & (at[:, 0] < width_px) & (at[:, 1] >= 1) & (at[:, 1] < height_px - 1)
        # Beyond the horizon the projection flips over: rows must climb in the picture.
        in_picture &= np.concatenate([[True], np.diff(at[:, 1]) < 0]) | (near_m <= 0)
        self.rows = Rows(near_m, in_picture)
        hidden_m = np.maximum(0.0, np.array([self.seen_at(y) for y in near_m]) - near_m)
        self.hole_m = _FLAT_M + _FLAT_SHARE * hidden_m
        # Seen half-way up its height, a vehicle leans away from the camera sideways too.
        lean = view.height_m / (view.height_m - VEHICLE_HEIGHT_M / 2)
        self._size = (_LANE_PX * calibration.lanes, _ROWS_PX * len(near_m))
        left, right = ((edge - view.x_m) * lean + view.x_m for edge in (0.0, calibration.road_width_m))
        metres_from_cells = np.array(
            [
                [(right - left) / self._size[0], 0, left],
                [0, ROW_M / _ROWS_PX, near_m[0]],
                [0, 0, 1],
            ]
        )
        self._picture_from_cells = calibration.road_to_picture @ metres_from_cells
        self._region = self._bounds()
        self.distance_m = np.hypot(self.rows.near_m - view.y_m, view.height_m)

    def seen_at(self, y_m: float) -> float:
        """Where on the road's plane the top of a vehicle that ends at y_m appears."""
        view = self.calibration.viewpoint
        return (y_m - view.y_m) * view.height_m / (view.height_m - VEHICLE_HEIGHT_M) + view.y_m

    def ends_at(self, seen_m: float) -> float:
        """Where a vehicle ends whose top appears at seen_m on the road's plane."""
        view = self.calibration.viewpoint
        return (seen_m - view.y_m) * (view.height_m - VEHICLE_HEIGHT_M) / view.height_m + view.y_m

    def profile(
        self, image: Image, shift: tuple[float, float] = (0.0, 0.0), haze_per_m: float = 0.0
    ) -> tuple[Profile, float]:
        """Edge strength, mean per cell, above the picture's noise; and that noise.

        Strength is the gradient of the square root of brightness: sensor noise is then the same in light and shade.
        shift: of this picture against the calibrated one, in pixels. haze_per_m: extinction, which is undone. Both
        strength and noise are raised to daylight where it is dark.
        """
        top, bottom, left, right = self._region
        root = cv2.LUT(cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY), _SQRT)
        root = cv2.blur(root, (3, 3))
        across = cv2.convertScaleAbs(cv2.Sobel(root, cv2.CV_16S, 1, 0))
        along = cv2.convertScaleAbs(cv2.Sobel(root, cv2.CV_16S, 0, 1))
        strength = cv2.max(across, along)
        noise = float(np.percentile(strength[::3, ::3], _NOISE_PERCENTILE))
        light = float(np.clip(_DAYLIGHT_ROOT / (float(np.median(root[::4, ::4])) + 1.0), 1.0, _MOST_GAIN))
        moved = np.array([[1, 0, shift[0] - left], [0, 1, shift[1] - top], [0, 0, 1.0]])
        above = cv2.warpPerspective(
            strength, moved @ self._picture_from_cells, self._size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        ).astype(np.float32)
        gain = light * np.minimum(np.exp(haze_per_m * self.distance_m), _MOST_DEHAZED)
        above = np.clip(above - _NOISE_FACTOR * noise, 0.0, _STRONGEST)
        lanes = above.reshape(len(self.rows.near_m), _ROWS_PX, self.calibration.lanes, _LANE_PX)
        strips = lanes[:, :, :, _MARGIN_PX:-_MARGIN_PX].reshape(*lanes.shape[:3], COLUMNS, -1)
        cells = strips.mean(axis=(1, 4)).reshape(len(self.rows.near_m), -1).T
        raised = np.minimum(cells * gain, _STRONGEST) * self.rows.in_picture
        return raised.astype(np.float32), noise * light

    def air_samples(self) -> Samples:
        """Places for agent.traffic.haze."""
        rows = np.flatnonzero(self.rows.in_picture & (self.rows.near_m >= 0))[::4]
        width_m = self.calibration.road_width_m
        at = np.array([[(share * width_m, self.rows.near_m[row]) for share in _ACROSS] for row in rows])
        pixels = self.calibration.to_picture(at.reshape(-1, 2)).reshape(len(rows), len(_ACROSS), 2)
        small = (pixels * np.array(SMALL) / np.array(self.calibration.picture)).astype(int)
        columns, lines = (np.clip(small[..., axis], 0, SMALL[axis] - 1) for axis in (0, 1))
        return Samples(columns, lines, self.distance_m[rows])

    def _bounds(self) -> tuple[int, int, int, int]:
        """Rows and columns of the picture that hold the road: nothing else need be looked at."""
        width_px, height_px = self.calibration.picture
        w, h = self._size
        rows = np.flatnonzero(self.rows.in_picture)
        y0, y1 = (rows[0] * _ROWS_PX, (rows[-1] + 1) * _ROWS_PX) if len(rows) else (0, h)
        corners = np.array([[0, y0], [w, y0], [w, y1], [0, y1]], np.float64).reshape(-1, 1, 2)
        found = cv2.perspectiveTransform(corners, self._picture_from_cells).reshape(-1, 2)
        left, top = np.floor(found.min(axis=0)).astype(int) - 2
        right, bottom = np.ceil(found.max(axis=0)).astype(int) + 3
        top, left = min(max(0, top), height_px - 1), min(max(0, left), width_px - 1)
        return top, max(top + 1, min(height_px, bottom)), left, max(left + 1, min(width_px, right))
