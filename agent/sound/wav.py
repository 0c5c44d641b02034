"""WAV files: PCM of 8, 16, 24 and 32 bits and floats, any number of channels, any rate.

Python's own wave module knows no floats, and before 3.12 no WAVE_FORMAT_EXTENSIBLE, in which many recorders write 24
bits: so the two chunks that matter are read here (RIFF, Microsoft and IBM 1991; MMREG.H for the extensible form).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.errors import SoundUnreadable
from agent.sound.port import Samples

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
LONGEST_BYTES = 1 << 30


@dataclass(frozen=True)
class Wav:
    """samples: (n,), all channels mixed down, -1..1."""

    rate_hz: int
    samples: Samples


def read_wav(path: Path) -> Wav:
    """Raises SoundUnreadable (KF79): no such file, no WAV, a coding that is none of ours, no sample in it."""
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise SoundUnreadable(source=path, detail="it is larger than 1 GiB")
        data = path.read_bytes()
    except OSError as error:
        raise SoundUnreadable(source=path, detail=error.strerror or str(error)) from error
    try:
        return _parse(data)
    except (ValueError, struct.error) as error:
        raise SoundUnreadable(source=path, detail=str(error)) from error


def _parse(data: bytes) -> Wav:
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("it is not a WAV file")
    form: bytes | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = body
        if name == b"data":
            if form is None:
                raise ValueError("its sound comes before the description of its format")
            return _decode(form, body)
        at += 8 + size + size % 2
    raise ValueError("there is no sound in it")


def _decode(form: bytes, body: bytes) -> Wav:
    if len(form) < 16:
        raise ValueError("the description of its format is cut off")
    coding, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if coding == _EXTENSIBLE:
        coding = int.from_bytes(form[24:26], "little")
    if not 1 <= channels <= 64 or not 1_000 <= rate_hz <= 768_000:
        raise ValueError(f"{channels} channels at {rate_hz} Hz can't be right")
    width = bits // 8
    if (coding, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}:
        raise ValueError(f"its coding ({coding}, {bits} bits) is not one that is read here")
    frames = len(body) // (width * channels)
    if frames == 0:
        raise ValueError("there is no sample in it")
    samples = samples_of(body[: frames * width * channels], width, coding == _FLOAT)
    return Wav(rate_hz, samples.reshape(frames, channels).mean(axis=1, dtype=np.float32))


def samples_of(body: bytes, width: int, floats: bool = False) -> Samples:
    """Little-endian samples as float32 in -1..1; 8 bits are unsigned. What is no number counts as silence."""
    if floats:
        found = np.frombuffer(body, f"<f{width}")
        return np.clip(np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0), -1, 1).astype(np.float32)
    if width == 1:
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:
        parts = np.frombuffer(body, np.uint8).reshape(-1, 3).astype(np.int32)
        whole = (parts[:, 0] << 8) | (parts[:, 1] << 16) | (parts[:, 2] << 24)
        return (whole / float(1 << 31)).astype(np.float32)
    return (np.frombuffer(body, f"<i{width}") / float(1 << (8 * width - 1))).astype(np.float32)
