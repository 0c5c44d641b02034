"""A bad microphone, made: what was recorded well is heard through it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np


class Microphone:
    """Gains of up to -40 dB over frequencies, a hum, noise 12 dB below the voice, and a bent curve."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        gains_db = np.interp(np.arange(129), np.linspace(0, 128, 9), self._random.uniform(-40, 0, 9))
        self._taps = np.roll(np.fft.irfft(10 ** (gains_db / 20)), 128) * np.hanning(256)
        self._hum_hz = float(self._random.choice([50.0, 60.0]))

    def record(self, source: Path, target: Path) -> None:
        with wave.open(str(source), "rb") as file:
            form, samples = file.getparams(), np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
        heard = np.convolve(samples, self._taps, "same")
        loud = float(np.sqrt(np.mean(heard**2))) + 1e-6
        heard = heard + self._random.normal(0, loud / 4, len(heard))
        heard += loud * np.sin(2 * np.pi * self._hum_hz * np.arange(len(heard)) / form.framerate)
        bent = np.tanh(heard / loud) * 0.8
        with wave.open(str(target), "wb") as file:
            file.setparams(form)
            file.writeframes((bent * 32767).astype("<i2").tobytes())
