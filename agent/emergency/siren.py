"""Is there a siren in three seconds of sound?

The pitch of the strongest moving tone is tracked (agent/emergency/pitch.py) and described by some figures
(siren_features.py). Sirens that sweep are judged by a network of one small hidden layer, whose weights stand in
siren.toml; sim_devices/sound/fit_siren.py fitted them on sirens and street sounds that are made, none of them recorded.
Two tones in turn are judged by a rule: in 1,700 made street sounds it was right about every one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.emergency.pitch import RATE_HZ, track
from agent.emergency.siren_features import NAMES, features

WINDOW_S = 3.0
LEAST_S = 1.5
# Below this level (of the loudest tenth of a second) nothing is said: it is silence, or a microphone that is not there.
SILENT_DB = -66.0

_TWO_TONE = {"two_tone": 0.4, "share": 0.4, "tonal": 0.85}
_NO_OVERTONE = {"below": -0.6, "rival": -0.5}
_TWO_TONE_LLR, _UNLIKELY_LLR = 4.5, -2.0
_DEEPER, _LEAST_SHARE = -0.25, 0.18

Array = NDArray[np.float64]
Sounding = Literal["silence", "siren", "other"]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """llr = out . tanh(hidden (f - mean) / deviation + hidden_bias) + out_bias, natural logarithm of the likelihood
    ratio of these features with a siren to without. threshold: the llr from which a window is a siren."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    hidden: tuple[tuple[float, ...], ...]
    hidden_bias: tuple[float, ...]
    out: tuple[float, ...]
    out_bias: float
    threshold: float


@dataclass(frozen=True)
class SirenReading:
    """llr: natural logarithm of the likelihood ratio; None for silence and for less than LEAST_S of sound, which say
    nothing."""

    sounding: Sounding
    llr: float | None


def hear(samples: NDArray[Any]) -> SirenReading:
    """samples: the last WINDOW_S or fewer seconds, mono, 16 kHz, -1..1."""
    sound = np.nan_to_num(np.asarray(samples, float))[-round(WINDOW_S * RATE_HZ) :]
    if len(sound) < LEAST_S * RATE_HZ:
        return SirenReading("silence", None)
    sound = sound - sound.mean()
    tenth = RATE_HZ // 10
    power = (sound[: len(sound) // tenth * tenth].reshape(-1, tenth) ** 2).mean(axis=1).max()
    if 10 * np.log10(power + 1e-12) < SILENT_DB:
        return SirenReading("silence", None)
    llr = judge(features(track(sound / np.sqrt(power))))
    return SirenReading("siren" if llr >= weights().threshold else "other", llr)


def judge(found: Array) -> float:
    """The log-likelihood ratio of features."""
    told = dict(zip(NAMES, found, strict=True))
    if all(told[name] > least for name, least in _TWO_TONE.items()) and all(
        told[name] < most for name, most in _NO_OVERTONE.items()
    ):
        return max(_TWO_TONE_LLR, _swept(found))
    # The "tone" is an overtone of something deeper, or drowns in the rest: an engine, a voice, a chord.
    if told["below"] > _DEEPER or told["share"] < _LEAST_SHARE:
        return min(_UNLIKELY_LLR, _swept(found))
    return _swept(found)


def _swept(found: Array) -> float:
    layer = _arrays()
    hidden = np.tanh(layer["hidden"] @ ((found - layer["mean"]) / layer["deviation"]) + layer["hidden_bias"])
    return float(layer["out"] @ hidden + weights().out_bias)


@cache
def weights() -> Weights:
    found = msgspec.toml.decode(files("agent.emergency").joinpath("siren.toml").read_bytes(), type=Weights)
    if found.features != NAMES:
        raise ValueError("siren.toml was fitted to other features")
    return found


@cache
def _arrays() -> dict[str, Array]:
    own = weights()
    return {name: np.array(getattr(own, name)) for name in ("mean", "deviation", "hidden", "hidden_bias", "out")}
