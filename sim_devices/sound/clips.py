"""Whole clips as a microphone at a junction would give them: a sound, the street behind it, walls, air, level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim_devices.sound import street, voices
from sim_devices.sound.sirens import drawn_kind, siren
from sim_devices.sound.tones import RATE_HZ, Sound, coloured, echo, envelope, levelled

SECONDS = 3.0
NEGATIVES: dict[str, Callable[[np.random.Generator, float], Sound]] = {
    "traffic": street.traffic, "engine": street.engine, "horn": street.horn, "reversing": street.reversing_beeps,
    "alarm": street.alarm, "bells": street.bells, "birds": street.birds, "wind": street.wind, "rain": street.rain,
    "squeal": street.squeal, "machine": street.machine, "hum": street.hum, "dog": street.dog,
    "whistle": street.whistle, "speech": voices.speech, "singing": voices.singing, "melody": voices.melody,
    "chords": voices.chords, "glissando": voices.glissando, "chirp": voices.chirp,
}  # fmt: skip


def positive(seed: int, kind: str | None = None, snr_db: float | None = None) -> Sound:
    """A siren in a street, in -1..1 at 16 kHz. snr_db: of the siren over the rest, drawn from -3 to 30 if None."""
    random = np.random.default_rng((seed, 0x51))
    sound = siren(random, SECONDS, kind)
    if random.uniform() < 0.15:  # it is switched on, or off
        cut = int(len(sound) * random.uniform(0.1, 0.35))
        sound *= (
            envelope(len(sound), cut, len(sound))
            if random.uniform() < 0.5
            else envelope(len(sound), 0, len(sound) - cut)
        )
    sound = coloured(random, sound, 6.0)
    sound = levelled(_walls(random, sound), 1.0)
    snr_db = random.uniform(-3, 30) if snr_db is None else snr_db
    noise = levelled(_background(random), 10 ** (-snr_db / 20))
    return _recorded(random, sound + noise)


def kind_of(seed: int) -> str:
    """What positive(seed) plays."""
    return drawn_kind(np.random.default_rng((seed, 0x51)))


def negative(seed: int, kind: str | None = None) -> Sound:
    """Everything but a siren, in -1..1 at 16 kHz; kind: one of NEGATIVES."""
    random = np.random.default_rng((seed, 0x4E))
    kind = kind or str(random.choice([*NEGATIVES]))
    sound = levelled(_walls(random, coloured(random, NEGATIVES[kind](random, SECONDS), 6.0)), 1.0)
    noise = levelled(_background(random), 10 ** (-random.uniform(0, 30) / 20))
    return _recorded(random, sound + noise)


def _background(random: np.random.Generator) -> Sound:
    made = levelled(street.traffic(random, SECONDS), 1.0)
    if random.uniform() < 0.35:
        other = NEGATIVES[str(random.choice(["horn", "engine", "speech", "wind", "rain", "birds", "machine"]))]
        made += levelled(other(random, SECONDS), random.uniform(0.2, 1.0))
    return made


def _walls(random: np.random.Generator, sound: Sound) -> Sound:
    if random.uniform() < 0.3:
        return sound
    return echo(random, sound, random.uniform(0.1, 1.8), random.uniform(0.05, 0.9))


def _recorded(random: np.random.Generator, sound: Sound) -> Sound:
    """Level and the microphone's own noise; one in eight is driven into clipping."""
    peak = max(1e-9, float(np.abs(sound).max()))
    level = random.uniform(1.2, 5.0) if random.uniform() < 0.12 else 10 ** random.uniform(-1.7, 0)
    sound = sound / peak * level + random.normal(0, 10 ** random.uniform(-4.5, -3), len(sound))
    return np.clip(sound, -1, 1)


def seconds_of(sound: Sound) -> float:
    return len(sound) / RATE_HZ
