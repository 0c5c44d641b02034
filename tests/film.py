"""A clip for processes that want a camera and are not judged by what they see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def film(path: Path) -> Path:
    """Half a minute of a grey road, small."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (160, 120))
    for number in range(150):
        picture = np.full((120, 160, 3), 90, np.uint8)
        picture[50:70, number : number + 12] = 200
        writer.write(picture)
    writer.release()
    return path
