"""A Raspberry Pi's own camera, through a child process: the system's camera packages stay the system's."""

from __future__ import annotations

import select
import shutil
import subprocess
from collections import deque
from collections.abc import Callable

from agent.camera.jpeg import JpegSplitter, decode
from agent.camera.port import Frame
from agent.errors import CameraMissing, CameraStalled, CameraUnreachable, PiCameraToolMissing, StreamMalformed
from node.child import end
from node.clock import Clock

TOOLS = ("rpicam-vid", "libcamera-vid")
FIRST_PICTURE_S = 15.0
TIMEOUT_S = 5.0
_CHUNK_BYTES = 1 << 16


class PiCamera:
    """rpicam-vid (or libcamera-vid, its older name) writing JPEG pictures to a pipe.

    Raises PiCameraToolMissing (KF63) when neither is installed, CameraMissing (KF59) when it finds no camera.
    """

    def __init__(
        self,
        camera: int,
        clock: Clock,
        *,
        width_px: int = 640,
        height_px: int = 360,
        fps: int = 15,
        which: Callable[[str], str | None] = shutil.which,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._name, self._clock, self._number, self._timeout_s = f"picamera:{camera}", clock, 0, timeout_s
        tool = next((found for name in TOOLS if (found := which(name))), None)
        if tool is None:
            raise PiCameraToolMissing(source=self._name)
        size = ["--width", str(width_px), "--height", str(height_px), "--framerate", str(fps)]
        self._process = subprocess.Popen(
            [tool, "--camera", str(camera), "--codec", "mjpeg", "--timeout", "0", "--nopreview", *size, "-o", "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._splitter = JpegSplitter()
        self._waiting: deque[bytes] = deque()

    def read(self) -> Frame | None:
        limit_s = self._timeout_s if self._number else max(self._timeout_s, FIRST_PICTURE_S)
        while not self._waiting:
            self._waiting.extend(self._splitter.feed(self._receive(limit_s)))
        # Only the newest of what has piled up: an old picture is worth less than none.
        image = decode(self._waiting.pop())
        self._waiting.clear()
        if image is None:
            raise StreamMalformed(source=self._name, detail="a picture in it can't be decoded")
        frame = Frame(image, self._clock.wall_ms(), self._clock.monotonic_ms(), self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        end(self._process)

    def _receive(self, limit_s: float) -> bytes:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], limit_s)
        if not ready:
            raise CameraStalled(source=self._name, timeout_s=limit_s)
        data = self._process.stdout.read(_CHUNK_BYTES)
        if data:
            return data
        status = self._process.wait()
        if self._number == 0:
            raise CameraMissing(source=self._name)
        raise CameraUnreachable(source=self._name, detail=f"its program ended with status {status}")
