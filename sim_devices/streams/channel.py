"""The newest picture of one camera, and what is wrong with that camera."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal, get_args

# live: as it should be. frozen: the last picture again and again, as if it were new. stalled: the connection stays open
# and nothing more comes. dead: connections are closed, and new ones answered with 503.
CameraFault = Literal["live", "frozen", "stalled", "dead"]
CAMERA_FAULTS: tuple[CameraFault, ...] = get_args(CameraFault)


@dataclass(frozen=True)
class Picture:
    """jpeg: the encoded frame. captured_ms, captured_mono_ms: wall and monotonic clock. number: rises with each."""

    jpeg: bytes
    captured_ms: int
    captured_mono_ms: int
    number: int


class Channel:
    """Thread-safe. A slow reader misses pictures and never delays the camera."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._fault: CameraFault = "live"
        self._closed = False

    @property
    def fault(self) -> CameraFault:
        return self._fault

    def set_fault(self, fault: CameraFault) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    def publish(self, picture: Picture) -> None:
        with self._changed:
            if self._fault in ("stalled", "dead"):
                return
            if self._fault == "frozen" and self._picture is not None:
                picture = replace(picture, jpeg=self._picture.jpeg)
            self._picture = picture
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def open(self) -> bool:
        return not self._closed and self._fault != "dead"

    def newer(self, than: int, timeout_s: float) -> Picture | None:
        """The newest picture with a number above `than`; None when there is none within timeout_s, or never will be."""
        with self._changed:
            self._changed.wait_for(lambda: not self.open or self._has_newer(than), timeout_s)
            return self._picture if self.open and self._has_newer(than) else None

    def _has_newer(self, than: int) -> bool:
        return self._picture is not None and self._picture.number > than and self._fault != "stalled"
