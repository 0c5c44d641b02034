"""Compressed pictures, made into frames."""

from __future__ import annotations

import cv2
import numpy as np

from agent.camera.port import Image

LARGEST_BYTES = 16 * 1024 * 1024
START, END = b"\xff\xd8", b"\xff\xd9"


def decode(data: bytes) -> Image | None:
    """BGR, or None for what is no picture."""
    if not data.startswith(START):
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


class JpegSplitter:
    """Cuts a bare stream of JPEG pictures, as rpicam-vid writes it, into pictures.

    Within a JPEG's scan FF is followed by 00 or a restart marker, so that FF D9 ends a picture; cameras' pictures carry
    no thumbnails, which would hold an end of their own.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._held += data
        found = []
        while True:
            start = self._held.find(START)
            if start < 0:
                del self._held[:-1]
                break
            end = self._held.find(END, start + 2)
            if end < 0:
                del self._held[:start]
                break
            found.append(bytes(self._held[start : end + 2]))
            del self._held[: end + 2]
        if len(self._held) > LARGEST_BYTES:
            self._held.clear()
        return found
