"""A camera's thumbnail: a drawing of what was understood, without a pixel of the camera; or, where a person has
switched that on, a small picture in which every vehicle and person is pixelated whole. Neither leaves the device by
itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera.port import Image
from agent.traffic.birds_eye import ROW_M, VEHICLE_HEIGHT_M
from agent.traffic.boxes import grown, within
from agent.traffic.calibration import Calibration
from agent.traffic.pipeline import Pipeline, View
from agent.traffic.track import Box
from protocol.units import Congestion

WIDEST_PX = 160
# What one block of a pixelated thing measures: a car that fills a third of the picture is five blocks wide.
BLOCK_PX = 10
# A detector's box may cut off what it found, and people stand beside vehicles.
_MARGIN = 0.2
_LEAST_MARGIN_PX = 2.0
_COLOURS: dict[Congestion | None, str] = {
    None: "#8a8a8a",
    "free": "#3cbe5a",
    "slow": "#ebc828",
    "dense": "#f5821e",
    "jam": "#e13232",
}


def drawing(calibration: Calibration, view: View) -> str:
    """An SVG: the road in the colour of its class, a box for each thing that is followed, and a line where the queue
    ends. Nothing in it tells one vehicle from another."""
    width, height = calibration.picture
    scale = WIDEST_PX / width
    colour = _COLOURS[view.reading.congestion]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDEST_PX}" height="{round(height * scale)}" '
        f'viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" fill="#20242a"/>',
        f'<polygon points="{_points(calibration.points)}" fill="{colour}" fill-opacity="0.35" stroke="{colour}" '
        'stroke-width="3"/>',
    ]
    for left, top, right, bottom in (one.box for one in (view.seen.tracks if view.seen is not None else ())):
        parts.append(
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{right - left:.0f}" height="{bottom - top:.0f}" '
            'fill="none" stroke="#f5f5f5" stroke-width="3"/>'
        )
    queue_m = view.reading.queue_m.value if view.reading.queue_m is not None else None
    if queue_m:
        ends = calibration.to_picture(np.array([[0, queue_m], [calibration.road_width_m, queue_m]]))
        parts.append(f'<polyline points="{_points(ends.tolist())}" stroke="#ffffff" stroke-width="5"/>')
    return "".join([*parts, "</svg>"])


def picture(pipeline: Pipeline, view: View) -> Image | None:
    """The frame at most WIDEST_PX wide, with all that may be a vehicle or a person pixelated: everything that the
    detector gave, however doubtful, everything that is followed, and all road that counts as covered.

    None where the detector didn't look at this very frame: what nobody has looked for can't be hidden.
    """
    if view.seen is None or view.seen.detections is None:
        return None
    frame = view.frame.image
    height, width = frame.shape[:2]
    scale = min(1.0, WIDEST_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    boxes = [one.box for one in view.seen.detections] + [one.box for one in view.seen.tracks]
    hidden = np.zeros(size[::-1], np.uint8)
    for box in boxes:
        _hide(hidden, box, scale)
    for outline in covered_outlines(pipeline, view):
        cv2.fillConvexPoly(hidden, np.round(outline * scale).astype(np.int32), 1)
    hidden = cv2.dilate(hidden, np.ones((3, 3), np.uint8))
    blocks = (max(1, size[0] // BLOCK_PX), max(1, size[1] // BLOCK_PX))
    coarse = cv2.resize(cv2.resize(small, blocks, interpolation=cv2.INTER_AREA), size, interpolation=cv2.INTER_NEAREST)
    return np.where(hidden[:, :, None] > 0, coarse, small)


def covered_outlines(pipeline: Pipeline, view: View) -> Iterator[NDArray[np.float64]]:
    """What stands on each covered stretch of road may show: the stretch, and as high as a car above it. In pixels."""
    calibration = pipeline.calibration
    near_m, lane_m = pipeline.model.view.rows.near_m, calibration.road_width_m / calibration.lanes
    camera = calibration.viewpoint
    lean = camera.height_m / (camera.height_m - VEHICLE_HEIGHT_M)
    for lane, row in zip(*np.nonzero(view.reading.covered), strict=True):
        x, y = lane * lane_m, near_m[row]
        ground = np.array([[x, y], [x + lane_m, y], [x + lane_m, y + ROW_M], [x, y + ROW_M]])
        above = (ground - [camera.x_m, camera.y_m]) * lean + [camera.x_m, camera.y_m]
        seen = calibration.to_picture(np.vstack([ground, above]))
        if np.isfinite(seen).all() and np.abs(seen).max() < 10 * max(calibration.picture):
            yield cv2.convexHull(seen.astype(np.float32)).reshape(-1, 2).astype(np.float64)


def _hide(hidden: NDArray[np.uint8], box: Box, scale: float) -> None:
    height, width = hidden.shape
    wide = grown(box, _MARGIN)
    small = tuple(edge * scale for edge in wide)
    left, top, right, bottom = within(
        (
            small[0] - _LEAST_MARGIN_PX,
            small[1] - _LEAST_MARGIN_PX,
            small[2] + _LEAST_MARGIN_PX,
            small[3] + _LEAST_MARGIN_PX,
        ),
        (width, height),
    )
    hidden[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 1


def _points(points: Iterable[Iterable[float]]) -> str:
    return " ".join(",".join(f"{value:.0f}" for value in point) for point in points)
