"""Falling rain: layers of streaks, painted once and laid over frames at places that follow from the frame's time."""

from __future__ import annotations

import cv2
import numpy as np

from sim_devices.render.arrays import Image

LAYERS = 4


def rain_layers(width_px: int, height_px: int, strength: float, seed: int) -> list[Image]:
    """Pictures (h, w, 3) to be added to a frame; none when strength is 0."""
    if strength <= 0:
        return []
    random = np.random.default_rng((seed, 0xFA11))
    return [_layer(random, width_px, height_px, strength) for _ in range(LAYERS)]


def _layer(random: np.random.Generator, width: int, height: int, strength: float) -> Image:
    layer = np.zeros((height, width), np.uint8)
    for _ in range(int(260 * strength)):
        near = random.uniform(0, 1) ** 3
        length = 7 + 26 * near
        x, y = random.uniform(0, width), random.uniform(-20, height)
        slant = length * random.normal(0.12, 0.03)
        end = (int(x + slant), int(y + length))
        cv2.line(layer, (int(x), int(y)), end, 26 + 34 * near, 1 if near < 0.8 else 2, cv2.LINE_AA)
    return cv2.cvtColor(cv2.GaussianBlur(layer, (3, 3), 0), cv2.COLOR_GRAY2BGR)


def add_falling(frame: Image, layers: list[Image], random: np.random.Generator) -> None:
    """Lays two of these layers over a frame, each time others."""
    if not layers:
        return
    first, second = random.integers(len(layers), size=2)
    shift = int(random.integers(frame.shape[0]))
    cv2.add(frame, layers[first], dst=frame)
    cv2.add(frame[shift:], layers[second][: frame.shape[0] - shift], dst=frame[shift:])
    cv2.add(frame[:shift], layers[second][frame.shape[0] - shift :], dst=frame[:shift])
