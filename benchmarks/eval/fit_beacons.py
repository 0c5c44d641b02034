"""How the figures in agent/emergency/flicker_llr.py and evidence.py were found: run benchmarks.eval.fit_beacons.

Windows from seed FIRST on, which are none of the evaluation's, are rendered: distractors, and to every third a vehicle
with beacons. The shipped detector finds, Kinflow's tracker follows. At every second picture a track's flicker is
described by the figures of flicker_llr.py, and a logistic model with a ridge is fitted to them by Newton's method; both
groups weigh alike, and each window as the square root of its flickers. Each window counts again with boxes that sway,
and each distractor's with steady lamps on its vehicles (hard_cases.py).

What the scale was chosen by are the scores of windows left out (a fifth at a time): of each track the highest that
four of six pictures in a row reach. Printed with the highest of distractors is their mean excess over the ninth
(peaks over threshold: Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, 4.2). SCALE is stated;
MIDDLE puts a fused probability of one half between them and the lowest that vehicles with beacons reach in time.

Classes: a logistic model over tracks, by their mean scores half way through, of which evidence.py takes less by about
one standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.emergency.beacon import EMPTY, LEAST_PICTURES, fast_enough, flicker_of, remember, whole
from agent.emergency.evidence import EMERGENCY_LABELS, share_of
from agent.emergency.flicker import Flicker, brightness
from agent.emergency.flicker_llr import LEAST_CYCLES, NAMES, figures
from agent.emergency.model import NO_BEACONS, PREDICTED_MS, REQUEST, direction_of
from agent.traffic.boxes import overlap
from agent.traffic.calibration import calibrate
from agent.traffic.on_road import OnRoad
from agent.traffic.track import Track
from agent.traffic.tracker import Tracker
from benchmarks.eval.emergency import Eyes
from benchmarks.eval.eyes import detector_eyes
from benchmarks.eval.hard_cases import Picture, lamped, swayed
from benchmarks.eval.windows import SEEN_PX, Window, distractor, event, seen_long_enough

Array = NDArray[np.float64]
FIRST, PASSES, EVERY = 5_000_000, 76, 3
RIDGE, CLASS_RIDGE, FIFTHS, TAIL = 3.0, 0.5, 5, 8
_OWN, _LEAST_LOOKS = 0.35, 8


@dataclass(frozen=True)
class Look:
    """One track in one picture. own: it is the subject. shown: its beacons show with SEEN_PX. away: it drives off."""

    mono_ms: int
    own: bool
    shown: bool
    away: bool
    found: Flicker | None
    track: Track


@dataclass
class Seen:
    """One window's tracks. visible_ms: when the subject's beacons first showed."""

    event: bool
    limit_s: float
    visible_ms: int | None = None
    tracks: dict[int, list[Look]] = field(default_factory=dict)


def recorded(window: Window, eyes: Eyes) -> list[Picture]:
    camera, road = window.camera, window.road
    corners = [(float(x), float(y)) for x, y in camera.corners(road)]
    picture = (camera.width_px, camera.height_px)
    points = (corners[0], corners[1], corners[2], corners[3])
    calibration = calibrate(points, road.width_m, road.visible_length_m, picture, lanes=len(road.lane_widths_m))
    tracker, find = Tracker(picture, OnRoad(calibration), eyes.thresholds), eyes.find(window.seed)
    state, found = tracker.initial(), []
    for shot in window.shots():
        state, tracks = tracker.step(state, find(shot.rendered), shot.mono_ms)
        own = next((one.box for one in shot.rendered.truth.boxes if one.id == window.subject_id), None)
        found.append(Picture(shot.mono_ms, shot.rendered.frame, tracks, own, shot.beacon_px))
    return found


def followed(window: Window, pictures: Iterable[Picture]) -> Seen:
    told = Seen(window.event, 1.0 + 2.0 / window.rate_hz)
    histories, usual = {}, 0.0
    for one in pictures:
        level = brightness(one.image)
        usual = usual + 0.03 * (level - usual) if usual else level
        shown = one.beacon_px >= SEEN_PX
        if shown and told.visible_ms is None:
            told.visible_ms = one.mono_ms
        for track in (track for track in one.tracks if track.label not in NO_BEACONS):
            before = history = histories.get(track.id, EMPTY)
            line = told.tracks.setdefault(track.id, [])
            found = None
            if whole(one.image, track.box):
                if track.last_ms - track.seen_ms <= PREDICTED_MS:
                    history = histories[track.id] = remember(before, one.image, track.box, level / usual, one.mono_ms)
                if history is before and line:
                    found = line[-1].found
                elif len(history.times_ms) >= LEAST_PICTURES and fast_enough(history.times_ms):
                    found = flicker_of(history)
            mine = one.own is not None and overlap(track.box, one.own) > _OWN
            away = direction_of(track.velocity_mps) == "away"
            line.append(Look(one.mono_ms, mine, mine and shown, away, found, track))
    return told


def cases(window: Window, pictures: list[Picture]) -> list[Seen]:
    """The window as it is, with boxes that sway, and, of a distractor, with steady lamps."""
    random = np.random.default_rng((window.seed, window.event, 0xCA5E))
    found = [followed(window, pictures), followed(window, swayed(pictures, random))]
    return found if window.event else [*found, followed(window, lamped(pictures, random))]


def planned(passes: int) -> Iterator[Window]:
    wanted = (one for one in map(event, range(FIRST, FIRST + 100 * passes + 100)) if seen_long_enough(one))
    for number in range(passes):
        if number % EVERY == 0:
            yield next(wanted)
        yield distractor(FIRST + number)


def design(windows: list[Seen]) -> tuple[Array, Array, Array]:
    """Figures, labels and weights of flickers: 1 for the subject of an event while its beacons show, 0 for distractors'
    tracks; the other vehicles of an event, on which its light falls, are left out."""
    found: list[Array] = []
    label: list[float] = []
    weight: list[float] = []
    for one in windows:
        rows = [
            figures(look.found)
            for line in one.tracks.values()
            for look in line[::2]
            if look.found is not None and look.found.cycles >= LEAST_CYCLES and (look.shown or not one.event)
        ]
        found += rows
        label += [float(one.event)] * len(rows)
        weight += [1 / np.sqrt(max(1, len(rows)))] * len(rows)
    y, w = np.array(label), np.array(weight)
    w *= np.where(y > 0, 0.5 / w[y > 0].sum(), 0.5 / w[y == 0].sum()) * len(y) / 10
    return np.array(found), y, w


def fit(found: Array, label: Array, weight: Array, ridge: float) -> tuple[Array, float]:
    """Weights and constant of the logistic model."""
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-6
    x = np.column_stack([(found - mean) / deviation, np.ones(len(found))])
    at = np.zeros(x.shape[1])
    for _ in range(80):
        p = 1 / (1 + np.exp(-np.clip(x @ at, -30, 30)))
        slope = x.T @ ((p - label) * weight) + ridge * np.append(at[:-1], 0.0)
        at = at - np.linalg.solve((x * (p * (1 - p) * weight)[:, None]).T @ x + ridge * np.eye(len(at)), slope)
    weights = at[:-1] / deviation
    return weights, float(at[-1] - (weights * mean).sum())


def agreed(line: list[Look], score: Callable[[Flicker], float], until_ms: float = np.inf) -> float:
    """The highest score that REQUEST's k of its n looks in a row reach."""
    scores = [
        -np.inf if look.found is None or look.found.cycles < LEAST_CYCLES or look.away else score(look.found)
        for look in line
        if look.mono_ms <= until_ms
    ]
    groups = (sorted(scores[max(0, end - REQUEST.n) : end]) for end in range(REQUEST.k, len(scores) + 1))
    return max((group[-REQUEST.k] for group in groups), default=-np.inf)


def left_out(windows: list[list[Seen]]) -> tuple[list[float], list[float], list[float]]:
    """Cross-validated, and falling: each distractor track's highest score, the same of those made harder, and each
    event's within its limit."""
    others, harder, events = [], [], []
    for fifth in range(FIFTHS):
        kept = [case for number, one in enumerate(windows) if number % FIFTHS != fifth for case in one]
        weights, constant = fit(*design(kept), RIDGE)

        def score(found: Flicker, weights: Array = weights, constant: float = constant) -> float:
            return float(weights @ figures(found)) + constant

        for one, *made in windows[fifth::FIFTHS]:
            if not one.event:
                others += [agreed(line, score) for line in one.tracks.values()]
                harder += [agreed(line, score) for case in made for line in case.tracks.values()]
            elif one.visible_ms is not None:
                until_ms = one.visible_ms + 1000 * one.limit_s
                events.append(max((agreed(line, score, until_ms) for line in one.tracks.values()), default=-np.inf))
    return sorted(others, reverse=True), sorted(harder, reverse=True), sorted(events, reverse=True)


def classes(windows: list[Seen], eyes: Eyes) -> tuple[float, float, float, int, int]:
    """Logarithms of the likelihood ratios of no class, of one learnt from pictures and of one from drawings; tracks and
    those of them that ask."""
    found, label = [], []
    for one in windows:
        for line in one.tracks.values():
            own = float(np.mean([look.own for look in line])) > _OWN
            if len(line) < _LEAST_LOOKS or (one.event and not own):
                continue
            scores = line[len(line) // 2].track.scores
            margin, name = max((scores.get(n, 0.0) / eyes.thresholds.get(n, 0.3), n) for n in EMERGENCY_LABELS)
            drawn = name in eyes.synthetic_only
            found.append([share_of(margin) * (not drawn), share_of(margin) * drawn])
            label.append(float(one.event))
    y = np.array(label)
    weights, constant = fit(np.array(found), y, np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean())), CLASS_RIDGE)
    return constant, constant + float(weights[0]), constant + float(weights[1]), len(y), int(y.sum())


def main(passes: int) -> None:
    eyes = detector_eyes(None)
    windows = [cases(one, recorded(one, eyes)) for one in planned(passes)]
    found, label, weight = design([case for one in windows for case in one])
    weights, constant = fit(found, label, weight, RIDGE)
    for name, value in zip(NAMES, weights, strict=True):
        print(f"{name:<14}{value:8.3f}")
    print(f"{'constant':<14}{constant:8.3f}   of {len(label)} flickers, {label.sum():.0f} of them beacons")
    others, harder, events = left_out(windows)
    print(f"left out: {len(others)} tracks without, the highest {_figures(others[:4])}, {_excess(others):.2f} apart")
    print(f"          made harder {len(harder)}, the highest {_figures(harder[:4])}, {_excess(harder):.2f} apart")
    print(f"          {len(events)} events, the lowest in time {_figures(events[-4:])}")
    nothing, learnt, drawn, tracks, asking = classes([one[0] for one in windows], eyes)
    print(f"class: {nothing:.2f} to {learnt:.2f}, from drawings {drawn:.2f}; {tracks} tracks, {asking} of them ask")


def _excess(falling: list[float]) -> float:
    """Mean excess over the TAIL + 1st highest."""
    return float(np.mean(falling[:TAIL])) - falling[TAIL]


def _figures(scores: list[float]) -> str:
    return " ".join(f"{score:.2f}" for score in scores)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PASSES)
