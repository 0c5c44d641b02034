"""The port between the agent and whatever gives it sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

RATE_HZ = 16_000

# float32, mono, 16 kHz, -1..1.
Samples = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """A piece of sound. mono_ms: the agent's monotonic clock when its last sample was taken."""

    samples: Samples
    mono_ms: int


class SoundSource(Protocol):
    """An open source. It is read and closed by one thread, and gives up by itself when it stalls."""

    def read(self) -> Block | None:
        """The next half second or less; None when the source has ended for good. Raises SoundUnreadable (KF79) or
        MicrophoneUnavailable (KF80) when it breaks."""

    def close(self) -> None: ...
