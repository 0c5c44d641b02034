"""A video file as a camera."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from agent.camera.port import Frame
from agent.errors import CameraForbidden, VideoTruncated, VideoUnreadable
from node.clock import Clock

_FPS_UNKNOWN = 25.0
# Containers promise a frame or two more than there are; a file that was cut off lacks more.
_PROMISE_SHARE, _PROMISE_FRAMES = 0.02, 3


class FileCamera:
    """A file, read at the pace of its own timestamps (`live`, and then over and over), or as fast as it is asked.

    Raises VideoUnreadable (KF55) or CameraForbidden (KF60) when opened, VideoTruncated (KF56) where it breaks off.
    """

    def __init__(self, path: Path, clock: Clock, live: bool, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path, self._clock, self._live, self._sleep = path, clock, live, sleep
        self._number = 0
        self._open()

    @property
    def fps(self) -> float:
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return float(fps) if 0 < fps <= 1000 else _FPS_UNKNOWN

    @property
    def frames_promised(self) -> int:
        """What the container says; 0 where it does not say."""
        return max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def read(self) -> Frame | None:
        read, image = self._capture.read()
        if not read:
            self._judge_end()
            if not self._live:
                return None
            self._capture.release()
            self._open()
            read, image = self._capture.read()
            if not read:
                raise VideoUnreadable(path=self._path, detail="no picture in it can be decoded")
        position_ms = self._played * 1000 / self.fps
        self._played += 1
        captured_mono_ms = self._began_mono_ms + round(position_ms)
        captured_ms = self._began_ms + round(position_ms)
        if self._live:
            wait_ms = captured_mono_ms - self._clock.monotonic_ms()
            if wait_ms > 0:
                self._sleep(wait_ms / 1000)
            captured_ms, captured_mono_ms = self._clock.wall_ms(), self._clock.monotonic_ms()
        frame = Frame(image, captured_ms, captured_mono_ms, self._number)
        self._number += 1
        return frame

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> None:
        if not self._path.is_file():
            raise VideoUnreadable(path=self._path, detail="there is no such file")
        if not os.access(self._path, os.R_OK):
            raise CameraForbidden(source=self._path)
        # One decoding thread: a device has other work for its cores, and each thread holds pictures of its own.
        self._capture = cv2.VideoCapture(
            str(self._path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1, cv2.CAP_PROP_HW_ACCELERATION, 0]
        )
        if not self._capture.isOpened():
            raise VideoUnreadable(path=self._path, detail="it is not a video, or its head is missing")
        self._played = 0
        self._began_ms, self._began_mono_ms = self._clock.wall_ms(), self._clock.monotonic_ms()

    def _judge_end(self) -> None:
        promised = self.frames_promised
        if self._played == 0:
            raise VideoUnreadable(path=self._path, detail="no picture in it can be decoded")
        if promised - self._played > max(_PROMISE_FRAMES, _PROMISE_SHARE * promised):
            raise VideoTruncated(path=self._path, frames_read=self._played, frames_promised=promised)
