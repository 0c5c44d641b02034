"""What a street sounds like without a siren: engines, horns, beepers, tyres, weather, birds, bells."""

from __future__ import annotations

import numpy as np

from sim_devices.sound.tones import RATE_HZ, Sound, envelope, falling_levels, harmonics, shaped_noise, steps, times

Random = np.random.Generator


def traffic(random: Random, seconds: float) -> Sound:
    """Tyres and engines near and far, some of which pass."""
    count = round(seconds * RATE_HZ)
    made = shaped_noise(random, count, 40, random.uniform(1200, 5000), random.uniform(3, 8))
    for _ in range(random.integers(0, 4)):
        at, width = random.uniform(-0.5, seconds + 0.5), random.uniform(0.4, 1.5)
        swell = np.exp(-(((times(seconds) - at) / width) ** 2))
        made += random.uniform(0.5, 4) * swell * shaped_noise(random, count, 80, random.uniform(1500, 6000), 4)
    if random.uniform() < 0.6:
        made += random.uniform(0.1, 1.0) * engine(random, seconds)
    return made


def engine(random: Random, seconds: float) -> Sound:
    """Rising, falling or steady, with gear changes; motorcycles and scooters reach higher."""
    count = round(seconds * RATE_HZ)
    base = random.uniform(25, 90) if random.uniform() < 0.6 else random.uniform(80, 260)
    pitch = base * 2.0 ** steps(random, count, random.uniform(0.6, 2.5), 0.0, random.uniform(0.1, 1.2))
    levels = falling_levels(random, 30, (0.75, 0.97)) * random.uniform(0.2, 1.0, 30)
    made = harmonics(pitch, levels, random.uniform(0, 6))
    return made / made.std() + random.uniform(0.1, 0.8) * shaped_noise(random, count, 60, 4000, 4)


def horn(random: Random, seconds: float) -> Sound:
    """One to three constant tones at once, in one or several hoots."""
    count = round(seconds * RATE_HZ)
    low = random.uniform(150, 320) if random.uniform() < 0.2 else random.uniform(300, 620)
    tones = [low, low * random.choice([1.19, 1.25, 1.26, 1.33, 1.5]), low * 1.5][: random.integers(1, 4)]
    levels = falling_levels(random, 14, (0.6, 0.95))
    # A horn's pitch settles within some hundredths of a second of the press, and its driver drives.
    drift = 1 + random.uniform(-0.03, 0.03) * times(seconds) / seconds
    sound = sum(harmonics(tone * drift, levels, random.uniform(0, 6)) for tone in tones)
    gate, at = np.zeros(count), random.uniform(-0.3, 1.5)
    for _ in range(random.integers(1, 6)):
        long_s = random.choice([random.uniform(0.08, 0.4), random.uniform(0.4, 2.8)])
        gate = np.maximum(gate, envelope(count, int(at * RATE_HZ), int((at + long_s) * RATE_HZ), 0.015, 0.03))
        at += long_s + random.uniform(0.06, 0.8)
    return sound * gate


def reversing_beeps(random: Random, seconds: float) -> Sound:
    """One tone on and off, or bursts of noise."""
    count = round(seconds * RATE_HZ)
    period_s, share = random.uniform(0.5, 1.3), random.uniform(0.35, 0.65)
    gate = ((times(seconds) / period_s + random.uniform()) % 1.0 < share).astype(float)
    gate = np.convolve(gate, np.ones(80) / 80, "same")
    if random.uniform() < 0.25:
        return gate * shaped_noise(random, count, 600, 5000)
    return gate * harmonics(np.full(count, random.uniform(750, 3000)), falling_levels(random, 5, (0.1, 0.6)))


def alarm(random: Random, seconds: float) -> Sound:
    """Shop, smoke, clock and crossing alarms: beeps in groups, trills of two close tones, steady tones."""
    count, at = round(seconds * RATE_HZ), times(seconds)
    base = random.uniform(600, 3800)
    kind = random.integers(4)
    if kind == 0:
        beeps = random.integers(1, 5)
        phase = (at / random.uniform(0.7, 1.6) + random.uniform()) % 1.0
        gate = ((phase * 2 * beeps) % 2 < 1) & (phase < 0.6)
        return gate * harmonics(np.full(count, base), falling_levels(random, 4, (0.1, 0.5)))
    if kind == 1:
        trill = np.where((at * random.uniform(12, 28)) % 1.0 < 0.5, base, base * random.uniform(1.15, 1.3))
        ring = (at / random.uniform(1.2, 4.0) + random.uniform()) % 1.0 < random.uniform(0.3, 0.7)
        return ring * harmonics(trill, falling_levels(random, 4, (0.1, 0.5)))
    if kind == 2:
        return harmonics(np.full(count, base), falling_levels(random, 4, (0.1, 0.5)))
    made = np.zeros(count)
    for strike in np.arange(random.uniform(0, 0.5), seconds, random.uniform(0.25, 0.8)):
        later = np.maximum(0.0, at - strike)
        made += (at >= strike) * np.exp(-later * random.uniform(5, 20)) * np.sin(2 * np.pi * base * later)
    return made


def bells(random: Random, seconds: float) -> Sound:
    """Church and crossing bells: inharmonic partials that die away."""
    at, made = times(seconds), np.zeros(round(seconds * RATE_HZ))
    base = random.uniform(150, 700)
    partials = base * np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.52, 2.66, 3.0, 4.1])
    for strike in np.arange(random.uniform(-1.0, 0.6), seconds, random.uniform(0.5, 2.5)):
        later = np.maximum(0.0, at - strike)
        tone = random.choice([1.0, 1.0, 0.84, 1.122, 0.75])
        for k, partial in enumerate(partials):
            level = random.uniform(0.2, 1.0) * np.exp(-later * (0.6 + 0.5 * k))
            made += (at >= strike) * level * np.sin(2 * np.pi * partial * tone * later)
    return made


def birds(random: Random, seconds: float) -> Sound:
    """Chirps and trills above 1.8 kHz, a cuckoo, a dove."""
    count, made = round(seconds * RATE_HZ), np.zeros(round(seconds * RATE_HZ))
    low = random.choice([random.uniform(1800, 4500), random.uniform(350, 700)], p=[0.8, 0.2])
    at = random.uniform(0, 0.5)
    while at < seconds:
        long_s = random.uniform(0.04, 0.5)
        size = round(long_s * RATE_HZ)
        pitch = low * 2.0 ** np.interp(np.arange(size), np.linspace(0, size, 4), random.uniform(-0.25, 0.35, 4))
        begin = int(at * RATE_HZ)
        note = harmonics(pitch, np.array([1.0, 0.1])) * np.hanning(size)
        made[begin : begin + size] += note[: count - begin]
        at += long_s + random.uniform(0.03, 0.6)
    return made


def wind(random: Random, seconds: float) -> Sound:
    count = round(seconds * RATE_HZ)
    gusts = steps(random, count, random.uniform(0.2, 1.0), 0.1, 1.0)
    made = gusts * shaped_noise(random, count, 20, random.uniform(150, 900), random.uniform(4, 10))
    if random.uniform() < 0.3:  # it whistles in a wire: a narrow noise that wanders a little
        pitch = random.uniform(400, 1200) * 2.0 ** steps(random, count, 0.7, -0.12, 0.12)
        jitter = np.cumsum(random.normal(size=count)) * random.uniform(0.02, 0.06)
        made += gusts * random.uniform(0.1, 0.6) * np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ + jitter)
    return made


def rain(random: Random, seconds: float) -> Sound:
    count = round(seconds * RATE_HZ)
    made = shaped_noise(random, count, 300, 7500, random.uniform(-2, 4))
    drops = random.choice(count, random.integers(5, 200))
    made[drops] += random.normal(0, 8, len(drops))
    return made


def squeal(random: Random, seconds: float) -> Sound:
    """Brakes and rails: a shrill tone that drifts and breaks off."""
    count = round(seconds * RATE_HZ)
    long_s = random.uniform(0.3, 2.5)
    begin = int(random.uniform(0, max(0.1, seconds - long_s)) * RATE_HZ)
    pitch = random.uniform(900, 4500) * 2.0 ** (steps(random, count, 0.25, -0.06, 0.06) - 0.1 * times(seconds))
    gate = envelope(count, begin, begin + int(long_s * RATE_HZ), 0.1, 0.1) * steps(random, count, 0.08, 0.1, 1.0)
    tone = harmonics(pitch, falling_levels(random, 6, (0.2, 0.7)))
    return tone * gate + random.uniform(0.05, 0.5) * shaped_noise(random, count, 80, 4000, 4)


def machine(random: Random, seconds: float) -> Sound:
    """Drills, grinders, fans, compressors: they run up, whine and run down, rough and rich in harmonics."""
    count, at = round(seconds * RATE_HZ), times(seconds)
    on, off = sorted(random.uniform(-1.0, seconds + 1.0, 2))
    speed = np.clip((at - on) / 0.25, 0, 1) * np.clip((off + 1.5 - at) / 1.2, 0, 1)
    pitch = random.uniform(60, 350) * (0.3 + 0.7 * speed) * (1 + 0.02 * steps(random, count, 0.1, -1, 1))
    buzz = harmonics(np.maximum(pitch, 15.0), falling_levels(random, 25, (0.85, 0.98)), random.uniform(0, 6))
    return speed * (buzz / max(1e-6, buzz.std()) + random.uniform(0.3, 2.0) * shaped_noise(random, count, 500, 6000))


def hum(random: Random, seconds: float) -> Sound:
    """A steady tone or two: transformers, extractors, feedback."""
    count = round(seconds * RATE_HZ)
    made = harmonics(np.full(count, random.uniform(90, 1800)), falling_levels(random, 8, (0.2, 0.8)))
    return made + random.uniform(0, 0.5) * shaped_noise(random, count, 50, 5000, 3)


def dog(random: Random, seconds: float) -> Sound:
    count, made, at = round(seconds * RATE_HZ), np.zeros(round(seconds * RATE_HZ)), random.uniform(0, 0.6)
    base = random.uniform(250, 900)
    while at < seconds:
        size = round(random.uniform(0.1, 0.35) * RATE_HZ)
        arch = np.sin(np.linspace(0.2, np.pi - 0.1, size))
        bark = harmonics(base * (0.6 + 0.5 * arch), falling_levels(random, 12, (0.6, 0.95))) * arch
        bark = bark + 0.8 * shaped_noise(random, size, 300, 4000) * arch
        begin = int(at * RATE_HZ)
        made[begin : begin + size] += bark[: count - begin]
        at += size / RATE_HZ + random.uniform(0.08, 0.9)
    return made


def whistle(random: Random, seconds: float) -> Sound:
    """A referee's or constable's, with a pea that trills, in blasts."""
    count, at = round(seconds * RATE_HZ), times(seconds)
    pitch = random.uniform(2000, 3800) * (1 + 0.02 * np.sin(2 * np.pi * random.uniform(20, 45) * at))
    gate = ((at / random.uniform(0.4, 2.0) + random.uniform()) % 1.0) < random.uniform(0.3, 0.8)
    return gate * harmonics(pitch, np.array([1.0, 0.2])) + 0.1 * shaped_noise(random, count, 1500, 6000)
