"""From a sound source's name to an open source."""

from __future__ import annotations

from pathlib import Path

from agent.sound.file import FileSound
from agent.sound.microphone import Microphone
from agent.sound.port import SoundSource
from node.clock import Clock

MICROPHONE = "microphone"


def open_sound(source: str, clock: Clock, live: bool = True) -> SoundSource:
    """`microphone` (ALSA's default) or `microphone:DEVICE` (as `arecord -L` lists them), else a WAV file. live: see
    FileSound. Raises SoundUnreadable (KF79) or MicrophoneUnavailable (KF80)."""
    kind, _, device = source.partition(":")
    if kind == MICROPHONE:
        return Microphone(device or "default", clock)
    return FileSound(Path(source), clock, live)
