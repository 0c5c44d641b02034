"""What is told to the network that reads lanes: planes of lanes x rows, none of them in units of one weather."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import COLUMNS, ROW_M, BirdsEye, Profile
from models.occupancy.network import PLANES, Planes

_STRENGTH, _STRONG, _DISTANCE_M, _HEIGHT_M, _LANE_M = 32.0, 64.0, 50.0, 10.0, 3.5


class LaneFeatures:
    """One calibration's planes, in the order of models.occupancy.network.PLANES."""

    def __init__(self, view: BirdsEye) -> None:
        calibration, rows = view.calibration, view.rows
        lanes, count = calibration.lanes, len(rows.near_m)
        lane_m = calibration.road_width_m / lanes
        middle_m = rows.near_m + ROW_M / 2
        at = calibration.to_picture(np.column_stack([np.full(count, calibration.road_width_m / 2), middle_m]))
        along = np.abs(np.gradient(at[:, 1])) * (360 / calibration.picture[1]) / ROW_M
        far_m = np.minimum(rows.near_m + ROW_M, calibration.visible_length_m)
        self.within = (np.clip(far_m - np.maximum(rows.near_m, 0), 0, ROW_M) / ROW_M).astype(np.float32)
        self._distance_m = view.distance_m
        x_m = (np.arange(lanes) + 0.5) * lane_m - calibration.viewpoint.x_m
        self._fixed = {
            "distance": view.distance_m / _DISTANCE_M,
            "resolution": np.log(np.clip(along, 0.05, 50.0)) / 3,
            "aside": x_m[:, None] / view.distance_m,
            "height": np.full(count, calibration.viewpoint.height_m / _HEIGHT_M),
            "within": self.within,
            "in_picture": rows.in_picture.astype(float),
            "lane_width": np.full(count, lane_m / _LANE_M),
        }
        self._shape = (lanes, count)

    def planes(
        self,
        profile: Profile,
        *,
        deviation: Profile,
        before: Profile | None,
        empty: Profile,
        known: NDArray[np.bool_],
        threshold: NDArray[np.float64],
        strong: NDArray[np.float64],
        noise: float,
        haze_per_m: float,
    ) -> Planes:
        """profile, deviation (of it from the empty road), before (some 0.4 s earlier), empty, known: strips x rows.
        threshold, strong: (rows,)."""
        strips = (self._shape[0], COLUMNS, self._shape[1])
        signed = deviation.reshape(strips)
        size = np.abs(signed)
        moved = np.zeros(self._shape) if before is None else np.abs(profile - before).reshape(strips).mean(axis=1)
        now = {
            "left": size[:, 0] / _STRENGTH,
            "middle": size[:, 1] / _STRENGTH,
            "right": size[:, 2] / _STRENGTH,
            "signed": signed.mean(axis=1) / _STRENGTH,
            "moved": moved / _STRENGTH,
            "covered": (size > threshold).mean(axis=1),
            "strong": strong / _STRONG,
            "noise": np.full(self._shape, np.log1p(noise) / 3),
            "known": known.reshape(strips).mean(axis=1),
            "haze": haze_per_m * self._distance_m,
            "empty": empty.reshape(strips).mean(axis=1) / _STRENGTH,
        }
        told = now | self._fixed
        return np.stack([np.broadcast_to(told[name], self._shape) for name in PLANES]).astype(np.float32)
