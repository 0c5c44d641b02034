"""What a site's cameras see: a short clip of a grey road on which a few boxes drive, played over and over."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = (640, 360)
FRAMES, FPS = 30, 10.0


def draw_clip(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    ground = random.integers(70, 90, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
    for number in range(FRAMES):
        picture = ground.copy()
        for lane in range(3):
            y = (number * 12 + lane * 110) % SIZE[1]
            cv2.rectangle(picture, (180 + lane * 90, y), (240 + lane * 90, y + 40), (40, 40, 60 + 60 * lane), -1)
        writer.write(picture)
    writer.release()
