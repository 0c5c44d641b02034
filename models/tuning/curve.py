"""A training's losses as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from models.tuning.graph import Array

_SIZE = (480, 800)
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 45
_INK, _GRID, _LINE, _JUDGED = (60, 60, 60), (225, 225, 225), (200, 170, 130), (40, 40, 200)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(path: Path, losses: Sequence[tuple[int, float]], judged: Sequence[tuple[int, float]]) -> None:
    """losses: (step, loss of its batch); judged: (step, loss of the examples kept for judging)."""
    high, wide = _SIZE
    image = np.full((high, wide, 3), 255, np.uint8)
    values = [one for _, one in (*losses, *judged)]
    top = float(np.quantile(values, 0.995)) * 1.05 + 1e-9
    low = min(0.0, *values)
    end = max(step for step, _ in (*losses, *judged)) or 1

    def place(step: float, value: float) -> tuple[int, int]:
        x = _LEFT + (wide - _LEFT - _RIGHT) * step / end
        y = high - _BOTTOM - (high - _TOP - _BOTTOM) * (min(value, top) - low) / (top - low)
        return round(x), round(y)

    for share in np.linspace(0, 1, 6):
        value = low + (top - low) * float(share)
        _, y = place(0, value)
        cv2.line(image, (_LEFT, y), (wide - _RIGHT, y), _GRID, 1)
        _write(image, f"{value:.3g}", (8, y + 4))
        x, _ = place(end * float(share), low)
        _write(image, f"{end * float(share):.0f}", (x - 12, high - 22))
    _write(image, "steps", (wide // 2 - 20, high - 6))
    smooth = _smoothed([value for _, value in losses])
    points = [place(step, value) for (step, _), value in zip(losses, smooth, strict=True)]
    _polyline(image, points, _LINE, 2)
    points = [place(step, value) for step, value in judged]
    _polyline(image, points, _JUDGED, 2)
    for point in points:
        cv2.circle(image, point, 4, _JUDGED, -1, cv2.LINE_AA)
    for number, (text, colour) in enumerate((("training, smoothed", _LINE), ("judged", _JUDGED))):
        x = _LEFT + 190 * number
        cv2.line(image, (x, 20), (x + 24, 20), colour, 3, cv2.LINE_AA)
        _write(image, text, (x + 32, 24))
    cv2.imwrite(str(path), image)


def _smoothed(values: Sequence[float]) -> list[float]:
    """Over about a twentieth of the whole, so that a short training's line is not late."""
    share = 1 / max(len(values) / 20, 1.0)
    done: list[float] = []
    for value in values:
        done.append(value if not done else (1 - share) * done[-1] + share * value)
    return done


def _polyline(image: Array, points: Sequence[tuple[int, int]], colour: tuple[int, int, int], width: int) -> None:
    for first, second in pairwise(points):
        cv2.line(image, first, second, colour, width, cv2.LINE_AA)


def _write(image: Array, text: str, at: tuple[int, int]) -> None:
    cv2.putText(image, text, at, _FONT, 0.42, _INK, 1, cv2.LINE_AA)
