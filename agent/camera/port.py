"""The port between the agent and whatever gives it pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

# What OpenCV returns is typed more loosely than it is: uint8 in truth.
Image = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One picture. image: BGR, uint8, height x width x 3. captured_ms, captured_mono_ms: the agent's wall and
    monotonic clock when it was taken. number: counts from 0 within one opening of the source."""

    image: Image
    captured_ms: int
    captured_mono_ms: int
    number: int


class Camera(Protocol):
    """An open source. It is read and closed by one thread, and gives up by itself when it stalls."""

    def read(self) -> Frame | None:
        """The next frame; None when the source has ended for good. Raises CameraStalled (KF58) after its time-out,
        and other KinflowErrors when the source breaks."""

    def close(self) -> None: ...
