"""How agent/emergency/siren.toml was made: `python -m sim_devices.sound.fit_siren agent/emergency/siren.toml`.

It stands here and not in models/training because models may not import the simulation. Sirens that sweep and street
sounds are made by seed, described by the detector's own features, and a network of one hidden layer is fitted to them
by Adam (Kingma and Ba 2015, arXiv 1412.6980) with weight decay; parts held out scale its output to a log-likelihood
ratio (Platt 1999) and set the threshold at which FALSE_ALARMS of the held-out street sounds fire. About 6 minutes on
one core; numpy alone. No recording is used.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.emergency.pitch import track
from agent.emergency.siren_features import NAMES, features
from sim_devices.sound.clips import NEGATIVES, kind_of, negative, positive

POSITIVES, OTHERS = 1400, 2600
FOLDS, HIDDEN, STEPS, RATE, DECAY, NOISE = 3, 10, 700, 0.03, 1e-3, 0.15
# Sirens of two tones are found by a rule (siren.py), and those of more than ten sweeps a second only by chance.
SWEEPING = ("wail", "yelp", "motor")
FALSE_ALARMS = 0.012
# Of what is fitted; evaluations draw theirs from 100,000 on.
FIRST_SEED = 0

Array = NDArray[np.float64]
_BOUND = 9.0


def described(positives: int, others: int) -> tuple[Array, Array]:
    """Features (n, len(NAMES)) and labels (n,) of clips in a mixed order; street sounds of every kind in turn."""
    kinds = [*NEGATIVES]
    seeds = range(FIRST_SEED, FIRST_SEED + positives)
    jobs = [(True, seed) for seed in seeds if kind_of(seed) in SWEEPING]
    jobs += [(False, seed) for seed in range(FIRST_SEED, FIRST_SEED + others)]
    order = np.random.default_rng(7).permutation(len(jobs))
    found, label = [], []
    for job in order:
        is_siren, seed = jobs[job]
        clip = positive(seed) if is_siren else negative(seed, kinds[seed % len(kinds)])
        found.append(features(track(clip)))
        label.append(float(is_siren))
    return np.array(found), np.array(label)


def fit(found: Array, label: Array) -> dict[str, object]:
    """Weights as siren.toml has them: the mean of FOLDS networks, each of which left out a part of the clips. What they
    say of the clips that they left out scales the answer and sets the threshold."""
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-3
    scaled = (found - mean) / deviation
    fold = np.arange(len(found)) % FOLDS
    networks, logit = [], np.zeros(len(found))
    for one in range(FOLDS):
        network = _network(scaled[fold != one], label[fold != one], seed=11 + one)
        logit[fold == one] = _logit(network, scaled[fold == one])
        networks.append(network)
    scale, shift = _platt(logit, label)
    street = (scale * logit + shift)[label == 0]
    return {
        "features": NAMES,
        "mean": mean,
        "deviation": deviation,
        "hidden": np.concatenate([network[0] for network in networks]),
        "hidden_bias": np.concatenate([network[1] for network in networks]),
        "out": np.concatenate([scale / FOLDS * network[2] for network in networks]),
        "out_bias": scale / FOLDS * sum(float(network[3][0]) for network in networks) + shift,
        "threshold": float(np.quantile(street, 1 - FALSE_ALARMS)),
    }


def _logit(network: list[Array], scaled: Array) -> Array:
    hidden, bias, out, out_bias = network
    found: Array = np.tanh(scaled @ hidden.T + bias) @ out + out_bias
    return found


def _network(scaled: Array, label: Array, seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    shapes = [(HIDDEN, len(NAMES)), (HIDDEN,), (HIDDEN,), (1,)]
    weights = [random.normal(0, 0.3, shape) for shape in shapes]
    first, second = [np.zeros(s) for s in shapes], [np.zeros(s) for s in shapes]
    balance = np.where(label > 0, 0.5 / label.mean(), 0.5 / (1 - label.mean())) / len(label)
    for step in range(1, STEPS + 1):
        # A little noise on the features, so that no edge of what was made counts for more than it is worth.
        x = scaled + random.normal(0, NOISE, scaled.shape)
        hidden = np.tanh(x @ weights[0].T + weights[1])
        error = (1 / (1 + np.exp(-(hidden @ weights[2] + weights[3]))) - label) * balance
        back = np.outer(error, weights[2]) * (1 - hidden**2)
        slopes = [back.T @ x + DECAY * weights[0], back.sum(0), hidden.T @ error + DECAY * weights[2]]
        slopes.append(np.array([error.sum()]))
        for i, slope in enumerate(slopes):
            first[i] = 0.9 * first[i] + 0.1 * slope
            second[i] = 0.999 * second[i] + 0.001 * slope**2
            rate = RATE * (1 - step / STEPS) + 1e-4
            weights[i] -= rate * (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-9)
    return weights


def _platt(logit: Array, label: Array) -> tuple[float, float]:
    """Scale and shift by which balanced logits become log-likelihood ratios, by Newton's method."""
    x = np.stack([np.clip(logit, -_BOUND, _BOUND), np.ones_like(logit)])
    balance = np.where(label > 0, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    at = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-at @ x))
        slope = x @ ((p - label) * balance) + 1e-3 * (at - [1.0, 0.0])
        curve = (x * (p * (1 - p) * balance)) @ x.T + 1e-3 * np.eye(2)
        at = at - np.linalg.solve(curve, slope)
    return float(at[0]), float(at[1])


def toml(made: dict[str, object]) -> str:
    lines = ["# Weights of agent/emergency/siren.py, made by `python -m sim_devices.sound.fit_siren`."]
    for name, value in made.items():
        lines.append(f"{name} = {_literal(value)}")
    return "\n".join(lines) + "\n"


def _literal(value: object) -> str:
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return "[\n    " + ",\n    ".join(_literal(row) for row in value) + ",\n]"
    if isinstance(value, np.ndarray):
        return "[" + ", ".join(f"{float(one):.5g}" if one % 1 else f"{float(one):.1f}" for one in value) + "]"
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return f"{float(value):.6g}"  # type: ignore[arg-type]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(toml(fit(*described(POSITIVES, OTHERS))), "utf-8")
