"""The picture of the renderer in the documentation: `python -m sim_devices.render.gallery docs/img/renderer.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from sim_devices.render.arrays import Image
from sim_devices.render.camera import mount
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import Act, play
from sim_devices.render.weather import WEATHERS

SHOWN = ("day", "fog", "rain", "night")
SEED, MOMENT_S = 11, 34.0
SIZE_PX = (464, 261)
# Grey levels that are told apart: fewer make a smaller file, and the eye doesn't miss the rest.
STEP = 8


def draw_gallery() -> Image:
    """Two by two: the same traffic by day, in fog, in rain and at night."""
    road = Road(arrows=("sr", "s", "l"))
    camera = mount(road, SEED)
    script = (Act(20, 700, False), Act(20, 600, False, emergency=True))
    t_s, vehicles = next(moment for moment in play(road, script, SEED) if moment[0] >= MOMENT_S)
    frames = []
    for name in SHOWN:
        frame = Scene(camera, road, WEATHERS[name], SEED).render(vehicles, t_s).frame
        frames.append(cv2.resize(frame, SIZE_PX, interpolation=cv2.INTER_AREA))
    picture = np.vstack([np.hstack(frames[:2]), np.hstack(frames[2:])])
    return np.minimum(255, np.round(picture / STEP) * STEP).astype(np.uint8)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(cv2.imencode(".png", draw_gallery(), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
