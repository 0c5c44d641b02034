"""Speech and music: tones that glide and step, and are no siren."""

from __future__ import annotations

import numpy as np

from sim_devices.sound.tones import RATE_HZ, Sound, envelope, falling_levels, harmonics, shaped_noise, steps, times

Random = np.random.Generator
# Formants of some vowels, in Hz (Peterson and Barney 1952, J. Acoust. Soc. Am. 24, 175, rounded means).
_VOWELS = np.array(
    [(270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (730, 1090, 2440), (570, 840, 2410), (300, 870, 2240)]
)
_SCALES = ((0, 2, 4, 5, 7, 9, 11, 12), (0, 2, 3, 5, 7, 8, 10, 12), (0, 2, 4, 7, 9, 12), (0, 3, 5, 7, 10, 12))


def speech(random: Random, seconds: float) -> Sound:
    """Formant synthesis: voiced syllables with a gliding pitch, noise between them, pauses."""
    count = round(seconds * RATE_HZ)
    base = random.choice([random.uniform(80, 170), random.uniform(160, 330)])
    made = np.zeros(count)
    at = random.uniform(-0.2, 0.4)
    shouted = random.uniform() < 0.2
    while at < seconds:
        long_s = random.uniform(0.08, 0.35) * (2.0 if shouted else 1.0)
        begin, size = max(0, int(at * RATE_HZ)), round(long_s * RATE_HZ)
        size = min(size, count - begin)
        if size > 400:
            made[begin : begin + size] += _syllable(random, size, base * (1.7 if shouted else 1.0))
        at += long_s + (random.uniform(0.2, 0.7) if random.uniform() < 0.15 else random.uniform(0.0, 0.12))
    return made


def _syllable(random: Random, size: int, base_hz: float) -> Sound:
    arch = np.hanning(size) ** 0.5
    if random.uniform() < 0.2:
        return 0.4 * arch * shaped_noise(random, size, random.uniform(1500, 3500), 7000)
    pitch = base_hz * 2.0 ** np.linspace(random.uniform(-0.25, 0.35), random.uniform(-0.35, 0.25), size)
    here, there = _VOWELS[random.integers(len(_VOWELS), size=2)] * random.uniform(0.9, 1.2)
    phi = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    move = np.linspace(0, 1, size)
    made = np.zeros(size)
    for k in range(1, int(4000 / base_hz) + 1):
        hz = k * pitch
        gain = np.zeros(size)
        for formant, width, weight in zip(range(3), (70, 100, 140), (1.0, 0.6, 0.3), strict=True):
            centre = here[formant] + (there[formant] - here[formant]) * move
            gain += weight / (1 + ((hz - centre) / width) ** 2)
        made += gain / k**0.4 * np.sin(k * phi)
    return arch * made


def singing(random: Random, seconds: float) -> Sound:
    """Long notes with vibrato, that slide into one another."""
    count, at = round(seconds * RATE_HZ), times(seconds)
    notes = 2.0 ** (
        random.choice(random.choice(_SCALES[:2], axis=0), size=max(2, int(seconds * random.uniform(1, 3)))) / 12
    )
    base = random.uniform(130, 520)
    pitch = base * np.interp(at, np.linspace(0, seconds, 4 * len(notes)), np.repeat(notes, 4))
    pitch *= 2.0 ** (random.uniform(0.005, 0.05) * np.sin(2 * np.pi * random.uniform(4.5, 7) * at))
    levels = falling_levels(random, 16, (0.6, 0.9)) * random.uniform(0.2, 1.0, 16)
    return harmonics(pitch, levels) * steps(random, count, 0.3, 0.2, 1.0)


def melody(random: Random, seconds: float) -> Sound:
    """Notes one after another: plucked, blown or bowed, with a bass and a beat now and then."""
    count = round(seconds * RATE_HZ)
    scale, base = _SCALES[random.integers(len(_SCALES))], random.uniform(200, 900)
    made, at, beat_s = np.zeros(count), 0.0, random.uniform(0.1, 0.6)
    plucked = random.uniform() < 0.5
    levels = falling_levels(random, 10, (0.2, 0.8))
    while at < seconds:
        long_s = beat_s * random.choice([0.5, 1, 1, 2, 3])
        begin, size = int(at * RATE_HZ), round(long_s * RATE_HZ)
        size = min(size, count - begin)
        note = base * 2.0 ** (random.choice(scale) / 12)
        if size > 100:
            tone = harmonics(np.full(size, note), levels)
            shape = np.exp(-np.arange(size) / RATE_HZ * random.uniform(2, 8)) if plucked else envelope(size, 0, size)
            made[begin : begin + size] += tone * shape
        at += long_s
    return made + _backing(random, count, seconds, base)


def _backing(random: Random, count: int, seconds: float, base: float) -> Sound:
    made = np.zeros(count)
    if random.uniform() < 0.5:
        made += random.uniform(0.2, 1.0) * chords(random, seconds, base / 2)
    if random.uniform() < 0.5:
        for beat in np.arange(0, seconds, random.uniform(0.2, 0.6)):
            begin = int(beat * RATE_HZ)
            size = min(2000, count - begin)
            made[begin : begin + size] += (
                2 * shaped_noise(random, 2000, 50, 6000, 3)[:size] * np.exp(-np.arange(size) / 500)
            )
    return made


def chords(random: Random, seconds: float, base_hz: float | None = None) -> Sound:
    count, at = round(seconds * RATE_HZ), 0.0
    base, made = base_hz or random.uniform(130, 500), np.zeros(count)
    levels = falling_levels(random, 8, (0.3, 0.8))
    while at < seconds:
        long_s = random.uniform(0.3, 1.6)
        begin, end = int(at * RATE_HZ), min(count, int((at + long_s) * RATE_HZ))
        root = base * 2.0 ** (random.choice([0, 5, 7, 9, 2]) / 12)
        for third in random.choice(
            [(0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 7, 10)][random.integers(4)], 3, replace=False
        ):
            tone = harmonics(np.full(end - begin, root * 2.0 ** (third / 12)), levels, random.uniform(0, 6))
            made[begin:end] += tone * envelope(end - begin, 0, end - begin, 0.02, 0.05)
        at += long_s
    return made


def glissando(random: Random, seconds: float) -> Sound:
    """A trombone, a violin, a whistling person, a slide guitar: notes that are held, with slides between them."""
    at = times(seconds)
    base, notes = random.uniform(250, 1300), random.integers(2, 7)
    semitones = np.cumsum(random.choice([-7, -5, -4, -3, -2, 2, 3, 4, 5, 7], size=notes))
    edges = np.sort(random.uniform(0, seconds, notes - 1))
    slide_s = random.uniform(0.03, 0.3)
    held = np.zeros(len(at))
    for edge, step in zip(edges, np.diff(semitones), strict=True):
        held += step * np.clip((at - edge) / slide_s, 0, 1)
    held += random.uniform(0, 0.4) * np.sin(2 * np.pi * random.uniform(4, 7) * at)
    gate = steps(random, len(at), 0.2, 0.3, 1.0)
    for edge in edges:
        if random.uniform() < 0.5:
            gate *= 1 - np.exp(-(((at - edge) / 0.03) ** 2))
    return gate * harmonics(base * 2.0 ** (held / 12), falling_levels(random, 12, (0.1, 0.85)))


def chirp(random: Random, seconds: float) -> Sound:
    """One short slide up or down, and nothing more: a toy, a message tone, a door."""
    count = round(seconds * RATE_HZ)
    size = round(random.uniform(0.1, 0.7) * RATE_HZ)
    pitch = random.uniform(350, 1500) * 2.0 ** np.linspace(0, random.uniform(-1.3, 1.3), size)
    made, begin = np.zeros(count), int(random.uniform(0, seconds - 0.75) * RATE_HZ)
    made[begin : begin + size] = harmonics(pitch, falling_levels(random, 6, (0.1, 0.7))) * np.hanning(size) ** 0.3
    return made
