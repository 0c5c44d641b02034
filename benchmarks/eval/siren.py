"""The siren detector against sounds: recall on clips with one, false alarms on clips without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from msgspec import Struct

from agent.emergency.pitch import RATE_HZ
from agent.emergency.siren import LEAST_S, WINDOW_S, hear, weights
from agent.errors import SoundUnreadable
from agent.sound.port import Samples
from agent.sound.resample import resampled
from agent.sound.wav import read_wav
from sim_devices.sound.clips import NEGATIVES, negative

HOP_S = 1.0
MADE = 600
_SILENT = -99.0


class Figures(Struct, frozen=True):
    """clips: with a siren. negatives: without. threshold: the shipped one, a natural logarithm of a likelihood ratio;
    recall and false_alarm_rate are at it. recall_at_1_percent: at the threshold that lets through 1 % of these
    negatives, where there are at least 100. unreadable: files that were left out. false_alarms_by_kind: of negatives
    that were made here, the share of each kind that fired."""

    recall: float
    false_alarm_rate: float
    clips: int
    negatives: int
    negatives_are_made: bool
    threshold: float
    recall_at_1_percent: float | None
    unreadable: int
    false_alarms_by_kind: dict[str, float]


def measure(wavs: Path, negatives: Path | None, seed: int = 1, made: int = MADE) -> Figures:
    """Raises SoundUnreadable (KF79) where a folder holds no sound that can be read."""
    sirens, lost = _scores(wavs)
    kinds: list[str] = []
    if negatives is None:
        names = [*NEGATIVES]
        kinds = [names[number % len(names)] for number in range(made)]
        found = [score(negative(seed * 100_000 + number, kind)) for number, kind in enumerate(kinds)]
        others = np.array(found)
    else:
        others, more = _scores(negatives)
        lost += more
    threshold = weights().threshold
    fired = others >= threshold
    strict = float(np.quantile(others, 0.99, method="higher")) if len(others) >= 100 else None
    return Figures(
        recall=round(float((sirens >= threshold).mean()), 4),
        false_alarm_rate=round(float(fired.mean()), 4),
        clips=len(sirens),
        negatives=len(others),
        negatives_are_made=negatives is None,
        threshold=round(threshold, 3),
        recall_at_1_percent=None if strict is None else round(float((sirens > strict).mean()), 4),
        unreadable=lost,
        false_alarms_by_kind={
            kind: round(float(fired[[one == kind for one in kinds]].mean()), 4) for kind in dict.fromkeys(kinds)
        },
    )


def score(sound: Samples) -> float:
    """The highest log-likelihood ratio of any window of a clip at 16 kHz; a very low figure for silence."""
    found = [reading.llr for reading in map(hear, windows(sound)) if reading.llr is not None]
    return max(found, default=_SILENT)


def windows(sound: Samples) -> Iterator[Samples]:
    """Stretches of WINDOW_S, one each HOP_S; a shorter clip is one, with silence up to LEAST_S."""
    size, hop = round(WINDOW_S * RATE_HZ), round(HOP_S * RATE_HZ)
    if len(sound) < LEAST_S * RATE_HZ:
        sound = np.pad(sound, (0, round(LEAST_S * RATE_HZ) - len(sound)))
    for start in range(0, max(1, len(sound) - size + hop // 2), hop):
        yield sound[start : start + size]


def _scores(folder: Path) -> tuple[np.ndarray, int]:
    """A score for each WAV file below a folder, and how many could not be read."""
    found, lost = [], 0
    for path in _wavs(folder):
        try:
            wav = read_wav(path)
        except SoundUnreadable:
            lost += 1
            continue
        found.append(score(resampled(wav.samples, wav.rate_hz)))
    if not found:
        raise SoundUnreadable(source=folder, detail="there is no WAV file in it that can be read")
    return np.array(found), lost


def _wavs(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".wav" and path.is_file())
