"""A picture out of a file's bytes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def decoded(held: bytes) -> NDArray[Any]:
    """BGR uint8, height x width x 3, turned as its camera was held; grey becomes grey of three channels, transparency
    is left out. ValueError for what is no picture, also for one that ends early."""
    # What OpenCV can't decode of a file that ends early it fills with grey.
    if _ends_early(held):
        raise ValueError("it ends early")
    try:
        image = cv2.imdecode(np.frombuffer(held, np.uint8), cv2.IMREAD_COLOR) if held else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("it is empty" if not held else "its content is none or damaged")
    return image


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
