"""What a window would have looked like with less steady boxes, or with lamps on its vehicles that don't flash.

Both are what beacons are taken for: a box that sways lets light in and out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.traffic.track import Box, Track
from sim_devices.render.arrays import Image

Random = np.random.Generator
# Standard deviation of each side of a box, as a share of its size; and how far the whole of it lies off.
SWAY, OFF = (0.01, 0.06), 0.12
LAMPED = 0.4
_LEAST_PICTURES, _LEAST_PX = 10, 10.0
# Blue, green, red, with how often each is taken: of tail lamps, beacons that are steady, and paler ones.
_COLOURS = ((40, 30, 255), (70, 60, 255), (255, 150, 50), (30, 20, 200), (200, 200, 255))
_OFTEN = (0.35, 0.3, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Picture:
    """One picture of a window, and what was found in it. own: the subject's true box."""

    mono_ms: int
    image: Image
    tracks: tuple[Track, ...]
    own: Box | None
    beacon_px: float


@dataclass(frozen=True)
class Lamp:
    """Shares of a box: x, y of its middle, size of its half width. glow: of the light around it, 0..1."""

    colour: tuple[int, int, int]
    x: float
    y: float
    size: float
    glow: float


def swayed(pictures: list[Picture], random: Random) -> Iterator[Picture]:
    """The same with all tracks' boxes off and unsteady, each track in its own measure."""
    measures: dict[int, tuple[float, NDArray[np.float64]]] = {}
    for one in pictures:
        height_px, width_px = one.image.shape[:2]
        most = np.array([width_px, height_px] * 2, float)
        tracks = []
        for track in one.tracks:
            if track.id not in measures:
                measures[track.id] = float(random.uniform(*SWAY)), random.uniform(-OFF, OFF, 4)
            sigma, off = measures[track.id]
            left, top, right, bottom = track.box
            size = np.array([right - left, bottom - top] * 2)
            box = np.clip(np.array(track.box) + size * (off + random.normal(0, sigma, 4)), 0.0, most)
            if min(box[2] - box[0], box[3] - box[1]) >= 6:
                tracks.append(replace(track, box=(float(box[0]), float(box[1]), float(box[2]), float(box[3]))))
        yield replace(one, tracks=tuple(tracks))


def lamped(pictures: list[Picture], random: Random) -> Iterator[Picture]:
    """The same with steady lamps, one or a pair, on some of its vehicles: they go where the smoothed box goes."""
    lines: dict[int, list[tuple[int, Box]]] = defaultdict(list)
    for one in pictures:
        for track in one.tracks:
            lines[track.id].append((one.mono_ms, track.box))
    placed: dict[int, list[tuple[Box, list[Lamp]]]] = defaultdict(list)
    for line in lines.values():
        smooth = _smooth(line)
        if random.uniform() < LAMPED and smooth is not None:
            lamps = _lamps(random)
            for (mono_ms, _), box in zip(line, smooth, strict=True):
                placed[mono_ms].append((box, lamps))
    for one in pictures:
        image = one.image.copy()
        for box, lamps in placed[one.mono_ms]:
            for lamp in lamps:
                _paint(image, box, lamp)
        yield replace(one, image=image)


def _smooth(line: list[tuple[int, Box]]) -> list[Box] | None:
    """Each side of the box by a polynomial in time."""
    if len(line) < _LEAST_PICTURES:
        return None
    at = np.array([mono_ms - line[0][0] for mono_ms, _ in line]) / 1000
    degree = min(4, 2 + len(line) // 25)
    sides = [np.polyval(np.polyfit(at, [box[side] for _, box in line], degree), at) for side in range(4)]
    if float(np.median(sides[3] - sides[1])) < _LEAST_PX:
        return None
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in zip(*sides, strict=True)]


def _lamps(random: Random) -> list[Lamp]:
    pair = random.uniform() < 0.5
    colour = _COLOURS[int(random.choice(len(_COLOURS), p=_OFTEN))]
    x = float(random.uniform(0, 0.4)) if pair else float(random.uniform(-0.05, 1.05))
    y, size, glow = (float(random.uniform(*span)) for span in ((-0.25, 0.45), (0.06, 0.2), (0.0, 0.5)))
    return [Lamp(colour, at, y, size, glow) for at in ((x, 1 - x) if pair else (x,))]


def _paint(image: Image, box: Box, lamp: Lamp) -> None:
    left, top, right, bottom = box
    x, y = left + lamp.x * (right - left), top + lamp.y * (bottom - top)
    half = lamp.size * (right - left)
    reach = 2.5 * half
    x0, x1 = int(max(0, x - reach)), int(min(image.shape[1], x + reach + 1))
    y0, y1 = int(max(0, y - reach)), int(min(image.shape[0], y + reach + 1))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    down, across = np.mgrid[y0:y1, x0:x1]
    light = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (1.2 * half) ** 2)[..., None] * np.array(lamp.colour)
    image[y0:y1, x0:x1] = np.clip(image[y0:y1, x0:x1] + lamp.glow * light, 0, 255).astype(np.uint8)
    flat = 0.6 * half
    corners = np.array([(x - half, y - flat), (x + half, y - flat), (x + half, y + flat), (x - half, y + flat)])
    cv2.fillConvexPoly(image, np.round(corners * 16).astype(np.int32), lamp.colour, cv2.LINE_AA, shift=4)
