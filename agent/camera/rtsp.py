"""An RTSP stream, read by OpenCV's ffmpeg over TCP: a network camera, its sub-stream, or Frigate's restream."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import cv2

from agent.camera.port import Frame
from agent.camera.source import shown
from agent.errors import CameraRefused, CameraStalled, CameraUnreachable
from node.clock import Clock

RTSP_PORT = 554
OPEN_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 5.0


class RtspCamera:
    """Raises CameraUnreachable (KF57) when nobody answers and CameraRefused (KF62) when no stream is sent."""

    def __init__(
        self, url: str, clock: Clock, open_timeout_s: float = OPEN_TIMEOUT_S, read_timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self._url, self._clock, self._number = url, clock, 0
        self._read_timeout_s = read_timeout_s
        _knock(url, open_timeout_s)
        # ffmpeg's own default for RTSP in OpenCV is TCP; both time-outs interrupt a call that hangs.
        self._capture = cv2.VideoCapture(
            url,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                round(open_timeout_s * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                round(read_timeout_s * 1000),
                cv2.CAP_PROP_N_THREADS,
                1,
            ],
        )
        if not self._capture.isOpened():
            raise CameraRefused(source=shown(url), detail="it answered, and no stream followed")

    def read(self) -> Frame | None:
        read, image = self._capture.read()
        if not read:
            raise CameraStalled(source=shown(self._url), timeout_s=self._read_timeout_s)
        frame = Frame(image, self._clock.wall_ms(), self._clock.monotonic_ms(), self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        self._capture.release()


def _knock(url: str, timeout_s: float) -> None:
    """Tell an address that nobody answers at from one that answers and sends nothing."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or RTSP_PORT
        socket.create_connection((host, port), timeout_s).close()
    except (OSError, ValueError) as error:
        raise CameraUnreachable(source=shown(url), detail=str(error)) from error
