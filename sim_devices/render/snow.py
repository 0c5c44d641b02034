"""Snow: flakes that fall, as layers to be laid over frames, and what lies on the ground."""

from __future__ import annotations

from itertools import accumulate, pairwise

import cv2
import numpy as np

from sim_devices.render.arrays import Array, Image
from sim_devices.render.road import Road

LAYERS = 4
COLOUR = np.array([236.0, 234.0, 230.0], np.float32)
# Beside the road it lies, on it there is slush where no tyre rolls.
BESIDE, ON_ROAD = 1.0, 0.6
TYRE_AT_M, TYRE_M = 0.8, 0.35


def snow_layers(width_px: int, height_px: int, strength: float, seed: int) -> list[Image]:
    """Pictures (h, w, 3) to be added to a frame, as sim_devices.render.rain lays them; none when strength is 0."""
    if strength <= 0:
        return []
    random = np.random.default_rng((seed, 0x5409))
    return [_layer(random, width_px, height_px, strength) for _ in range(LAYERS)]


def _layer(random: np.random.Generator, width: int, height: int, strength: float) -> Image:
    layer = np.zeros((height, width), np.uint8)
    for _ in range(int(420 * strength)):
        near = random.uniform(0, 1) ** 4
        x, y = random.uniform(0, width), random.uniform(0, height)
        # A flake moves while the shutter is open.
        axes = (1 + int(2 * near), 1 + int(5 * near))
        slant = float(random.normal(15, 10))
        cv2.ellipse(layer, (int(x), int(y)), axes, slant, 0, 360, 60 + 70 * (1 - near), -1, cv2.LINE_AA)
    return cv2.cvtColor(cv2.GaussianBlur(layer, (3, 3), 0), cv2.COLOR_GRAY2BGR)


def lying(road: Road, strength: float, x: Array, outside: Array, uneven: Array) -> Array:
    """How much of the ground is white, 0..1, at x metres from the kerb, `outside` metres off the road. uneven: noise of
    standard deviation 1."""
    rolled = np.zeros_like(x)
    edges = list(accumulate((*road.lane_widths_m, *road.opposite_widths_m), initial=0.0))
    for low, high in pairwise(edges):
        for track in ((low + high) / 2 - TYRE_AT_M, (low + high) / 2 + TYRE_AT_M):
            rolled = np.maximum(rolled, np.exp(-(((x - track) / TYRE_M) ** 2)))
    slush = ON_ROAD * (1 - rolled) * np.clip(0.8 + 0.25 * uneven, 0, 1)
    found: Array = strength * np.where(outside > 0, BESIDE * np.clip(0.95 + 0.05 * uneven, 0, 1), slush)
    return found
