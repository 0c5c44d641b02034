"""Other views and other weathers of a picture; boxes follow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np

from models.training.detector.data import Image
from models.training.detector.targets import Array, Targets, joined

PAD = 114
# t = exp(-beta d): what is less visible than this is not taught as an object.
LEAST_TRANSMISSION = 0.05
Pair = tuple[Image, Targets]
Random = np.random.Generator


def letterbox(image: Image, targets: Targets, side: int) -> Pair:
    """As the detector does it: scaled to fit, at the top left, the rest grey."""
    scale = side / max(image.shape[:2])
    return place(image, targets, np.array([[scale, 0, 0], [0, scale, 0]]), side)


def shrunk(image: Image, targets: Targets, most_px: int) -> Pair:
    """No side longer than most_px."""
    scale = most_px / max(image.shape[:2])
    if scale >= 1:
        return image, targets
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    ratio = np.array([size[0] / image.shape[1], size[1] / image.shape[0]] * 2, np.float32)
    moved = Targets((targets.boxes * ratio).astype(np.float32), targets.classes, targets.known, targets.solid)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), moved


def place(image: Image, targets: Targets, affine: np.ndarray, side: int) -> Pair:
    """Through a 2 x 3 affine map (scale, flip, shift) onto a square canvas."""
    way = cv2.INTER_AREA if abs(affine[0, 0]) < 0.6 else cv2.INTER_LINEAR
    if way == cv2.INTER_AREA:
        # warpAffine does not average: shrink first.
        shrink = abs(affine[0, 0])
        size = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        inner = affine.copy()
        inner[0, 0] *= image.shape[1] / size[0]
        inner[1, 1] *= image.shape[0] / size[1]
        canvas = cv2.warpAffine(small, inner, (side, side), borderValue=(PAD, PAD, PAD))
    else:
        canvas = cv2.warpAffine(image, affine, (side, side), flags=way, borderValue=(PAD, PAD, PAD))
    return canvas, targets.moved(affine, side, side)


def random_view(image: Image, targets: Targets, side: int, random: Random, zoom: tuple[float, float]) -> Pair:
    """Scaled by `zoom` times what fits, a little stretched, shifted, mirrored half of the time."""
    height, width = image.shape[:2]
    scale = side / max(height, width) * float(np.exp(random.uniform(*np.log(zoom))))
    stretch = float(np.exp(random.uniform(-0.12, 0.12)))
    sx, sy = scale * stretch, scale / stretch
    free = np.array([side - sx * width, side - sy * height])
    dx, dy = (random.uniform(min(0.0, one), max(0.0, one)) for one in free)
    affine = np.array([[sx, 0, dx], [0, sy, dy]])
    if random.random() < 0.5:
        affine[0] = [-sx, 0, dx + sx * width]
    return place(image, targets, affine, side)


def mosaic(draw: Callable[[], Pair], side: int, random: Random, across: int = 2) -> Pair:
    """across x across pictures round points drawn at random (Bochkovskiy et al. 2020, arXiv 2004.10934): many small
    objects at once, the smaller the more there are."""
    canvas = np.full((side, side, 3), PAD, np.uint8)
    columns, rows = (_cuts(side, across, random) for _ in range(2))
    parts = []
    for left, right in pairwise(columns):
        for top, bottom in pairwise(rows):
            w, h = right - left, bottom - top
            tile, targets = random_view(*draw(), max(w, h), random, (0.7, 1.5))
            canvas[top:bottom, left:right] = tile[:h, :w]
            inside = targets.moved(np.array([[1.0, 0, 0], [0, 1.0, 0]]), w, h)
            parts.append(inside.moved(np.array([[1.0, 0, left], [0, 1.0, top]]), side, side))
    return canvas, joined(parts)


def _cuts(side: int, across: int, random: Random) -> list[int]:
    """Where the pictures of a mosaic meet, along one side."""
    cuts = (np.arange(1, across) + random.uniform(-0.3, 0.3, across - 1)) * side / across
    return [0, *np.round(cuts).astype(int).tolist(), side]


# -- light and weather; none of them moves a box


def colours(image: Image, random: Random) -> Image:
    """Hue, saturation and brightness; now and then grey."""
    hue, saturation, value = random.uniform(-1, 1, 3) * (6, 0.4, 0.35) + (0, 1, 1)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(hue)) % 180
    hsv[..., 1] = cv2.convertScaleAbs(hsv[..., 1], alpha=float(saturation if random.random() > 0.04 else 0.0))
    hsv[..., 2] = cv2.convertScaleAbs(hsv[..., 2], alpha=float(value))
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def fog(image: Image, targets: Targets, random: Random) -> Pair:
    """I = J t + A (1 - t), t = exp(-beta d) (Koschmieder). The depth of a photograph is not known: it grows as on a
    flat road towards a horizon drawn at random, and varies smoothly besides."""
    height, width = image.shape[:2]
    horizon = random.uniform(0.15, 0.6) * height
    rows = np.arange(height, dtype=np.float32)
    depth = 1.0 / np.clip((rows - horizon) / height, 0.03, None)
    depth = np.minimum(depth, 1.0 / random.uniform(0.04, 0.2))
    depth /= depth.max()
    patches = cv2.resize(random.random((4, 4), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    flat = random.uniform(0.0, 0.7)
    field = (flat + (1 - flat) * depth[:, None]) * (0.8 + 0.4 * patches)
    through = np.exp(-random.uniform(0.4, 2.8) * field)
    air = random.uniform(120, 235) * (1 + random.uniform(-0.06, 0.06, 3))
    foggy = image * through[..., None] + air.astype(np.float32) * (1 - through[..., None])
    result = np.clip(foggy, 0, 255).astype(np.uint8)
    if random.random() < 0.5:
        result = cv2.GaussianBlur(result, (0, 0), random.uniform(0.4, 1.1))
    if len(targets):
        middle = targets.boxes.reshape(-1, 2, 2).mean(1).astype(int)
        seen = through[np.clip(middle[:, 1], 0, height - 1), np.clip(middle[:, 0], 0, width - 1)]
        targets = targets.soften(seen < LEAST_TRANSMISSION)
    return result, targets


def night(image: Image, random: Random) -> Image:
    """Little light, a sensor turned up, bluish or yellowish."""
    gain = random.uniform(0.15, 0.5)
    gamma = random.uniform(1.0, 1.7)
    tint = 1 + random.uniform(-0.15, 0.15, 3)
    dark = (image / np.float32(255)) ** gamma * gain * tint.astype(np.float32) * 255
    dark = dark + random.standard_normal(image.shape, np.float32) * random.uniform(2, 8)
    return np.clip(dark, 0, 255).astype(np.uint8)


def rain(image: Image, random: Random) -> Image:
    """Streaks, less contrast, grey air."""
    height, width = image.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    slant, length = random.uniform(-0.3, 0.3), int(random.integers(6, 22))
    for x, y in random.uniform(0, 1, (int(random.integers(60, 350)), 2)) * (width, height):
        end = (int(x + slant * length), int(y + length))
        cv2.line(streaks, (int(x), int(y)), end, int(random.integers(60, 160)), 1, cv2.LINE_AA)
    grey = random.uniform(90, 170)
    keep = random.uniform(0.6, 0.9)
    wet = image.astype(np.float32) * keep + grey * (1 - keep)
    return np.clip(wet + cv2.blur(streaks, (1, 3))[..., None], 0, 255).astype(np.uint8)


def camera_faults(image: Image, random: Random) -> Image:
    """A cheap camera: soft, noisy, compressed."""
    if random.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.4))
    if random.random() < 0.25:
        noise = random.standard_normal(image.shape, np.float32) * random.uniform(1, 7)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.4:
        quality = int(random.integers(30, 90))
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        image = image if decoded is None else decoded
    return image


# Shares of fog, night and rain; the rest stays as it is.
WEATHER_SHARES = (0.38, 0.10, 0.08)


def weather(image: Image, targets: Targets, random: Random, shares: Sequence[float] = WEATHER_SHARES) -> Pair:
    lot = random.random()
    if lot < shares[0]:
        return fog(image, targets, random)
    if lot < shares[0] + shares[1]:
        return night(image, random), targets
    if lot < sum(shares):
        return rain(image, random), targets
    return image, targets


def as_input(images: Sequence[Image]) -> Array:
    """(n, 3, h, w) float32, blue, green, red, 0..255."""
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), dtype=np.float32)
