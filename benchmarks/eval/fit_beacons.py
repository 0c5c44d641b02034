"""How the weights in agent/emergency/flicker_llr.py were found: `python -m benchmarks.eval.fit_beacons`.

Windows of an emergency vehicle with beacons and of distractors are rendered; boxes are the stand-in's (eyes.py),
followed by Kinflow's tracker. At every third picture the flicker of each track's last three seconds is described by the
figures of flicker_llr.py, and a logistic model with a ridge is fitted to them by Newton's method, both groups weighing
alike. The shipped weights came from 40 such windows, before boxes went through the tracker and with the height's weight
set to -2 by hand, so a run gives others of the same kind; SCALE and MIDDLE were set from the tail of the distractors.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from agent.emergency.beacon import EMPTY, remember
from agent.emergency.flicker import brightness, flicker
from agent.emergency.flicker_llr import NAMES, figures
from agent.traffic.tracker import Tracker
from benchmarks.eval.eyes import stand_in_eyes
from benchmarks.eval.windows import SEEN_PX, Window, distractor, event, seen_long_enough

Array = NDArray[np.float64]
WINDOWS, LEAST_CYCLES, RIDGE = 40, 1.8, 6.0


def rows(window: Window) -> tuple[list[Array], list[float]]:
    """Figures and labels of one window: 1 for the subject of an event while its beacons show, 0 for distractors'
    tracks; the other vehicles of an event, on which its light falls, are left out."""
    eyes = stand_in_eyes()
    find = eyes.find(window.seed)
    tracker = Tracker((window.camera.width_px, window.camera.height_px), None, eyes.thresholds)
    state, usual = tracker.initial(), 0.0
    histories = {}
    found: list[Array] = []
    label: list[float] = []
    for number, shot in enumerate(window.shots()):
        state, tracks = tracker.step(state, find(shot.rendered), shot.mono_ms)
        level = brightness(shot.rendered.frame)
        usual = usual + 0.03 * (level - usual) if usual else level
        own = next((one.box for one in shot.rendered.truth.boxes if one.id == window.subject_id), None)
        for track in tracks:
            history = histories.get(track.id, EMPTY)
            history = remember(history, shot.rendered.frame, track.box, level / usual, shot.mono_ms)
            histories[track.id] = history
            subject = own is not None and abs(sum(track.box) - sum(own)) < 0.5 * (own[2] - own[0] + own[3] - own[1])
            if (
                number % 3
                or len(history.times_ms) < 12
                or (window.event and not (subject and shot.beacon_px >= SEEN_PX))
            ):
                continue
            told = flicker(np.stack(history.grids), np.array(history.times_ms) / 1000)
            if told is not None and told.cycles >= LEAST_CYCLES:
                found.append(figures(told))
                label.append(float(window.event))
    return found, label


def fit(found: Array, label: Array) -> tuple[Array, float]:
    """Weights and constant of the logistic model."""
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-6
    x = np.column_stack([(found - mean) / deviation, np.ones(len(found))])
    balance = np.where(label > 0, 0.5 / label.mean(), 0.5 / (1 - label.mean()))
    at = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ at, -30, 30)))
        slope = x.T @ ((p - label) * balance) + RIDGE * np.append(at[:-1], 0.0)
        at = at - np.linalg.solve((x * (p * (1 - p) * balance)[:, None]).T @ x + RIDGE * np.eye(len(at)), slope)
    weights = at[:-1] / deviation
    return weights, float(at[-1] - (weights * mean).sum())


def main(windows: int) -> None:
    plan = [one for one in map(event, range(windows)) if seen_long_enough(one)][: windows // 3]
    plan += [distractor(seed) for seed in range(windows - len(plan))]
    found: list[Array] = []
    label: list[float] = []
    for window in plan:
        more, labels = rows(window)
        found += more
        label += labels
    weights, constant = fit(np.array(found), np.array(label))
    for name, weight in zip(NAMES, weights, strict=True):
        print(f"{name:<12}{weight:8.3f}")
    print(f"{'constant':<12}{constant:8.3f}   of {len(label)} flickers, {sum(label):.0f} of them beacons")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else WINDOWS)
