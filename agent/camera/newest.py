"""The newest frame, and no older one."""

from __future__ import annotations

import threading

from agent.camera.port import Frame


class NewestFrame:
    """One slot between the thread that reads a camera and the one that looks. patient: a frame waits until the one
    before was taken, so that none is lost (a file that is measured); else the newer frame replaces the older."""

    def __init__(self, arrived: threading.Condition, patient: bool = False) -> None:
        self._arrived, self._patient = arrived, patient
        self._frame: Frame | None = None
        self._closed = False
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        with self._arrived:
            while self._patient and self._frame is not None and not self._closed:
                self._arrived.wait()
            self.dropped += self._frame is not None
            self._frame = frame
            self._arrived.notify_all()

    def take(self) -> Frame | None:
        """The frame, once; None when none came since. Call with the condition held."""
        frame, self._frame = self._frame, None
        if self._patient and frame is not None:
            self._arrived.notify_all()
        return frame

    def close(self) -> None:
        """Let a waiting put go."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()
