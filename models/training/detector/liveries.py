"""Ordinary cars made into police cars: a light bar, a band, a word.

Free pictures of police cars are few, and what makes one is seen best beside the same car without it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.training.detector.composites import CutOut
from models.training.detector.data import Image

# How much of its own colour a painted body loses.
BODY = 0.6
WORDS = ("POLICE", "POLIZEI", "POLICIA", "POLITIE", "POLIS", "POLITI", "POLIZIA", "SHERIFF")
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Livery:
    """Blue, green, red. body: what the lower body is painted, None for as it is. second: of a chequered band."""

    body: Colour | None
    band: Colour
    second: Colour | None
    word: Colour


LIVERIES = (
    Livery((235, 235, 235), (170, 80, 20), None, (150, 60, 10)),
    Livery((235, 235, 235), (160, 70, 10), (60, 230, 235), (150, 60, 10)),
    Livery((30, 28, 28), (235, 235, 235), None, (240, 240, 240)),
    Livery((235, 235, 235), (30, 28, 28), None, (235, 235, 235)),
    Livery(None, (235, 235, 235), (170, 80, 20), (150, 60, 10)),
    Livery((235, 235, 235), (40, 90, 235), (170, 80, 20), (150, 60, 10)),
    Livery((90, 150, 60), (235, 235, 235), None, (60, 110, 30)),
)
LAMPS: tuple[tuple[Colour, Colour], ...] = (
    ((255, 120, 40), (255, 120, 40)), ((255, 120, 40), (60, 50, 250)), ((160, 70, 25), (160, 70, 25)),
    ((160, 70, 25), (40, 35, 170)),
)  # fmt: skip


def police_car(car: CutOut, random: np.random.Generator) -> CutOut:
    """`car` in one of the world's liveries, its light bar above the roof."""
    height, width = car.image.shape[:2]
    livery = LIVERIES[int(random.integers(len(LIVERIES)))]
    image = car.image.astype(np.float32)
    # Shading stays: what is painted takes the brightness of what lay there, and glass and tyres are left alone.
    grey = cv2.GaussianBlur(car.image, (0, 0), max(1.0, width / 60)).max(axis=2).astype(np.float32)
    typical = float(np.median(grey[car.mask > 127])) if (car.mask > 127).any() else 128.0
    shade = np.clip(grey / max(typical, 40.0), 0.35, 1.05)[..., None]
    paintable = ((car.mask > 127) & (grey > 0.6 * typical)).astype(np.float32)[..., None]
    rows = np.arange(height, dtype=np.float32)[:, None, None] / height
    if livery.body is not None:
        below = paintable * ((rows > 0.38) & (rows < 0.78))
        image = image * (1 - BODY * below) + np.array(livery.body, np.float32) * shade * BODY * below
    low, tall = random.uniform(0.45, 0.6), random.uniform(0.08, 0.2)
    band = np.zeros_like(image) + np.array(livery.band, np.float32)
    if livery.second is not None:
        size = max(3, round(width * random.uniform(0.05, 0.12)))
        squares = (np.arange(width)[None] // size + np.arange(height)[:, None] // max(2, round(tall * height / 2))) % 2
        band[squares == 1] = livery.second
    here = paintable * ((rows > low) & (rows < low + tall))
    image = image * (1 - here) + band * shade * here
    painted = np.clip(image, 0, 255).astype(np.uint8)
    _write(painted, livery.word, low + tall * random.uniform(0.6, 1.3), random)
    return _with_lamps(painted, car.mask, random)


def _write(image: Image, colour: Colour, at: float, random: np.random.Generator) -> None:
    height, width = image.shape[:2]
    word = WORDS[int(random.integers(len(WORDS)))]
    wide = random.uniform(0.22, 0.45) * width
    scale = wide / cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)[0][0]
    left = int(random.uniform(0.2, 0.75) * width - wide / 2)
    place = (max(0, left), int(np.clip(at, 0.3, 0.85) * height))
    cv2.putText(image, word, place, cv2.FONT_HERSHEY_DUPLEX, scale, colour, max(1, round(scale * 2)), cv2.LINE_AA)


def _with_lamps(image: Image, mask: Image, random: np.random.Generator) -> CutOut:
    height, width = image.shape[:2]
    tall = max(2, round(height * random.uniform(0.06, 0.12)))
    middle = width * random.uniform(0.42, 0.6)
    half = width * random.uniform(0.10, 0.22)
    left, right = round(middle - half), round(middle + half)
    column = mask[:, min(width - 1, round(middle))] > 127
    roof = int(column.argmax()) if column.any() else 0
    above = max(0, tall - roof)
    canvas = cv2.copyMakeBorder(image, above, 0, 0, 0, cv2.BORDER_REPLICATE)
    grown = cv2.copyMakeBorder(mask, above, 0, 0, 0, cv2.BORDER_CONSTANT, value=0)
    top = roof + above - tall
    lamps = LAMPS[int(random.integers(len(LAMPS)))]
    cut = round(middle)
    for x0, x1, colour in ((left, cut, lamps[0]), (cut, right, lamps[1])):
        cv2.rectangle(canvas, (x0, top), (x1, top + tall), colour, -1)
    cv2.rectangle(grown, (left, top), (right, top + tall), 255, -1)
    return CutOut("police_car", canvas, grown)
