"""What the page may know and change of one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from agent.camera.port import Image
from agent.settings import CameraFile
from agent.traffic.calibration import Calibration
from protocol.ids import CameraId

_LONGEST_PX = 480
_LARGEST_SCALE = 24.0


@dataclass(frozen=True)
class CameraView:
    """image: the newest picture, or None. calibration: the present one, or None before the first picture. state: in a
    word, with the reason when it does not run. drawing: the newest thumbnail as SVG, or None before the first picture.
    thumbnail: the newest real one, or None where that is not switched on or no detector has looked."""

    camera: CameraId
    source: str
    image: Callable[[], Image | None]
    calibration: Callable[[], Calibration | None]
    state: Callable[[], tuple[str, str]]
    file: CameraFile
    drawing: Callable[[], str | None]
    thumbnail: Callable[[], Image | None]


def rectified(image: Image, calibration: Calibration) -> Image:
    """The road from above, the far end on top, lanes marked."""
    w, v = calibration.road_width_m, calibration.visible_length_m
    scale = min(_LARGEST_SCALE, _LONGEST_PX / max(w, v))
    width_px, height_px = max(8, round(w * scale)), max(8, round(v * scale))
    road_from_view = np.array([[w / width_px, 0, 0], [0, -v / height_px, v], [0, 0, 1.0]])
    seen = cv2.warpPerspective(
        image,
        calibration.road_to_picture @ road_from_view,
        (width_px, height_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    for lane in range(1, calibration.lanes):
        x = round(width_px * lane / calibration.lanes)
        cv2.line(seen, (x, 0), (x, height_px), (60, 220, 250), 1, cv2.LINE_AA)
    return seen


def jpeg(image: Image, quality: int = 85) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
