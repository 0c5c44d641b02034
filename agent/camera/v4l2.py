"""A camera at /dev/videoN, through Video4Linux."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from agent.camera.port import Frame
from agent.errors import CameraForbidden, CameraMissing, CameraStalled, CameraUnreachable
from node.clock import Clock

# OpenCV itself gives up on a device that sends nothing for ten seconds.
TIMEOUT_S = 10.0


class V4l2Camera:
    """Raises CameraMissing (KF59), CameraForbidden (KF60) or CameraUnreachable (KF57) when opened."""

    def __init__(self, device: Path, clock: Clock, width_px: int = 640, height_px: int = 360) -> None:
        if not device.exists():
            raise CameraMissing(source=device)
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraForbidden(source=device)
        self._device, self._clock, self._number = device, clock, 0
        self._capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise CameraUnreachable(source=device, detail="it is no video device, or another program uses it")
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width_px)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height_px)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Frame | None:
        read, image = self._capture.read()
        if not read:
            raise CameraStalled(source=self._device, timeout_s=TIMEOUT_S)
        frame = Frame(image, self._clock.wall_ms(), self._clock.monotonic_ms(), self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        self._capture.release()
