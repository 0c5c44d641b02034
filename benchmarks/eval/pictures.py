"""A folder of pictures and a folder of their labels in YOLO's form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import LabelsUnreadable, PictureUnreadable

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# Sets round their numbers, so that a box may end a little outside.
ROUNDING = 0.01


@dataclass(frozen=True)
class Thing:
    """One labelled thing: its class's number, and its box's middle and size as shares of the picture's width and
    height."""

    number: int
    x: float
    y: float
    width: float
    height: float

    def box(self, width_px: int, height_px: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels, cut off at the picture's edges."""
        return (
            max(0.0, self.x - self.width / 2) * width_px,
            max(0.0, self.y - self.height / 2) * height_px,
            min(1.0, self.x + self.width / 2) * width_px,
            min(1.0, self.y + self.height / 2) * height_px,
        )


@dataclass(frozen=True)
class Labelled:
    """things: None where there is no file of labels."""

    picture: Path
    things: tuple[Thing, ...] | None


def labelled(images: Path, labels: Path, classes: int) -> list[Labelled]:
    """Every picture below `images`, in the order of their names, with the labels of the same name below `labels`.

    Raises LabelsUnreadable (KF102) for a wrong line, before any picture is read.
    """
    found = sorted(one for one in images.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
    return [Labelled(one, _things(labels / one.relative_to(images).with_suffix(".txt"), classes)) for one in found]


def picture(path: Path) -> NDArray[Any]:
    """BGR uint8, height x width x 3, turned as its camera was held; grey becomes grey of three channels, transparency
    is left out. Raises PictureUnreadable (KF103), also for one that ends early."""
    try:
        held = path.read_bytes()
    except OSError as error:
        raise PictureUnreadable(path=path, detail=error.strerror) from error
    # What OpenCV can't decode of a file that ends early it fills with grey.
    if _ends_early(held):
        raise PictureUnreadable(path=path, detail="it ends early")
    try:
        decoded = cv2.imdecode(np.frombuffer(held, np.uint8), cv2.IMREAD_COLOR) if held else None
    except cv2.error:
        decoded = None
    if decoded is None:
        raise PictureUnreadable(path=path, detail="it is empty" if not held else "its content is none or damaged")
    return decoded


def _ends_early(held: bytes) -> bool:
    """Whether a PNG or a JPEG lacks its end."""
    if held.startswith(b"\x89PNG"):
        return b"IEND" not in held
    if not held.startswith(b"\xff\xd8"):
        return False
    # Segments carry their length, and may hold a small picture that has an end of its own. After the last one comes the
    # picture, in which the end's two bytes can't occur; what follows is somebody else's.
    at = 2
    while held[at : at + 1] == b"\xff" and held[at + 1 : at + 2] != b"\xda":
        at += 2 + int.from_bytes(held[at + 2 : at + 4], "big")
    return held.find(b"\xff\xd9", at) < 0


def _things(path: Path, classes: int) -> tuple[Thing, ...] | None:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsUnreadable(path=path, line=1, detail=f"it is no text ({error})") from error
    things = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                things.append(_thing(line, classes))
            except ValueError as error:
                raise LabelsUnreadable(path=path, line=number, detail=error) from error
    return tuple(things)


def _thing(line: str, classes: int) -> Thing:
    words = line.split()
    if len(words) != 5:
        raise ValueError(f"{len(words)} numbers where 5 belong")
    number = int(words[0]) if words[0].isdecimal() else -1
    if not 0 <= number < classes:
        raise ValueError(f"the class is {words[0]!r}, and --names has 0 to {classes - 1}")
    try:
        x, y, width, height = (float(word) for word in words[1:])
    except ValueError:
        raise ValueError(f"{' '.join(words[1:])!r} are not four numbers") from None
    if not all(math.isfinite(one) for one in (x, y, width, height)):
        raise ValueError("a number is not finite")
    most = 1 + ROUNDING
    if not (0 < width <= most and 0 < height <= most and 0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"the box {' '.join(words[1:])} does not lie in the picture")
    return Thing(number, x, y, width, height)
