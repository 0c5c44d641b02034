"""Compressed pictures, made into frames."""

from __future__ import annotations

import cv2
import numpy as np

from agent.camera.port import Image

LARGEST_BYTES = 16 * 1024 * 1024
# 8K video. A few kilobytes can claim a picture that takes gigabytes, and OpenCV would make it.
LARGEST_PIXELS = 7680 * 4320
START, END = b"\xff\xd8", b"\xff\xd9"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decode(data: bytes) -> Image | None:
    """BGR, or None for what is no picture, or claims to be larger than any of ours."""
    if not 0 < pixels(data) <= LARGEST_PIXELS:
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def pixels(data: bytes) -> int:
    """How many a JPEG says that it has, 0 where it says nothing (ITU-T T.81, B.2.2: the frame header)."""
    at = len(START) if data.startswith(START) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a filling byte
            at += 1
        elif marker in _FRAME_HEADERS:
            return int.from_bytes(data[at + 5 : at + 7], "big") * int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


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
