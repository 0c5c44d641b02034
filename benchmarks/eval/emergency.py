"""Requests for way on rendered windows of road: how many are found, how soon, and how many are false.

The whole way from a picture on is the device's: detector, tracker, evidence, fusion, latch. Only windows with a subject
are rendered (windows.py); each result is kept in a file, so that a run that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, exp, log
from pathlib import Path

import cv2
import msgspec
import numpy as np
from msgspec import Struct

from agent.emergency.evidence import PRIOR_LOG_ODDS
from agent.emergency.model import EmergencyModel
from agent.traffic.calibration import calibrate
from agent.traffic.on_road import OnRoad
from agent.traffic.tracker import Tracker
from benchmarks.eval.windows import SEEN_PX, Window, distractor, event, seen_long_enough
from models.vision.detector import Detection, Label
from sim_devices.render.scene import Rendered

PASSES_PER_DAY = 500
EVENTS_PER_DAY = 15
# Changes whenever windows or evidence change what a kept result would be.
EDITION = 5
_BINS = ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0))

Finder = Callable[[Rendered], tuple[Detection, ...]]


@dataclass(frozen=True)
class Eyes:
    """What finds vehicles: a detector, or what stands in for one. name: it, and the edition of its weights."""

    name: str
    find: Callable[[int], Finder]
    thresholds: dict[Label, float]
    synthetic_only: frozenset[Label]


class Result(Struct, frozen=True):
    """One window. visible_ms: when the subject's beacon first showed with 6 pixels; requested_ms: when a request was
    first told, on the same clock; limit_s: a second and two of its periods. chance: the highest probability told."""

    seed: int
    subject: str
    weather: str
    visible_ms: int | None
    requested_ms: int | None
    limit_s: float
    chance: float
    present: bool


class Bin(Struct, frozen=True):
    """Windows whose highest probability lay within low..high: their mean, and the share that asked for way."""

    low: float
    high: float
    told: float
    asked: float
    windows: int


class Figures(Struct, frozen=True):
    """false_per_camera_day_upper95: the one-sided 95 % Poisson bound on false requests of a distractor's pass, times
    passes_per_day. p95_seconds_to_request: from the beacon being visible with 6 pixels, of the events that were found;
    p95_over_limit_s: of those seconds less one and two beacon periods. reliability: of the probability, after its prior
    is changed for that of these windows."""

    events: int
    distractors: int
    recall: float
    false_requests: int
    false_per_camera_day_upper95: float
    passes_per_day: int
    p95_seconds_to_request: float | None
    p95_over_limit_s: float | None
    in_time: float
    recall_by_weather: dict[str, float]
    false_by_subject: dict[str, int]
    reliability: list[Bin]
    brier: float
    detector: str


def measure(  # noqa: PLR0917
    eyes: Eyes,
    hours: float,
    seed: int,
    passes_per_day: int = PASSES_PER_DAY,
    quick: int | None = None,
    cache: Path | None = None,
    told: Callable[[int, int], None] | None = None,
) -> Figures:
    """hours: of one camera's time, in which EVENTS_PER_DAY / 24 events and passes_per_day / 24 distractors an hour
    pass. quick: so many windows in all instead, a quarter of them events."""
    cv2.setNumThreads(1)
    events = ceil(hours * EVENTS_PER_DAY / 24) if quick is None else max(1, quick // 4)
    passes = ceil(hours * passes_per_day / 24) if quick is None else quick - events
    kept = Kept(cache / f"emergency-{_key(eyes.name, seed)}.jsonl") if cache is not None else Kept(None)
    found: list[Result] = []
    for window in planned(seed, events, passes):
        done = kept.get(window)
        if done is None:
            done = run(window, eyes)
            kept.put(done)
        found.append(done)
        if told is not None:
            told(len(found), events + passes)
    return judge(found, passes_per_day, eyes.name)


def planned(seed: int, events: int, passes: int) -> Iterator[Window]:
    """Events first spread among the distractors, so that a run that is cut off has some of both."""
    candidates = (event(seed * 1_000_000 + number) for number in range(100 * events + 100))
    asked = (window for window in candidates if seen_long_enough(window))
    every = max(1, passes // max(1, events))
    for number in range(max(passes, 0)):
        if number % every == 0 and number // every < events:
            yield next(asked)
        yield distractor(seed * 1_000_000 + number)
    for _ in range(max(0, events - ceil(passes / every) if passes else events)):
        yield next(asked)


def run(window: Window, eyes: Eyes) -> Result:
    camera, road = window.camera, window.road
    corners = [(float(x), float(y)) for x, y in camera.corners(road)]
    points = (corners[0], corners[1], corners[2], corners[3])
    picture = (camera.width_px, camera.height_px)
    calibration = calibrate(points, road.width_m, road.visible_length_m, picture, lanes=len(road.lane_widths_m))
    tracker = Tracker(picture, OnRoad(calibration), eyes.thresholds)
    model = EmergencyModel(eyes.thresholds, eyes.synthetic_only)
    tracks_state, state = tracker.initial(), model.initial()
    find = eyes.find(window.seed)
    visible_ms = requested_ms = None
    chance, present = 0.0, False
    for shot in window.shots():
        tracks_state, tracks = tracker.step(tracks_state, find(shot.rendered), shot.mono_ms)
        state, reading = model.step(state, tracks, shot.rendered.frame, shot.mono_ms)
        if visible_ms is None and shot.beacon_px >= SEEN_PX:
            visible_ms = shot.mono_ms
        if reading.state == "requested" and requested_ms is None:
            requested_ms = shot.mono_ms
        chance = max(chance, reading.probability)
        present |= reading.state in ("present", "requested")
    limit_s = 1.0 + 2.0 / window.rate_hz
    return Result(
        window.seed, window.subject, window.weather.name, visible_ms, requested_ms, limit_s, round(chance, 4), present
    )


def judge(found: list[Result], passes_per_day: int, detector: str) -> Figures:
    events = [one for one in found if one.subject == "event" and one.visible_ms is not None]
    others = [one for one in found if one.subject != "event"]
    hits = [one for one in events if one.requested_ms is not None]
    false = [one for one in others if one.requested_ms is not None]
    seconds = [max(0, (one.requested_ms or 0) - (one.visible_ms or 0)) / 1000 for one in hits]
    over = [s - one.limit_s for s, one in zip(seconds, hits, strict=True)]
    weathers = sorted({one.weather for one in events})
    bins, brier = _reliability(events, others)
    return Figures(
        events=len(events),
        distractors=len(others),
        recall=round(len(hits) / max(1, len(events)), 4),
        false_requests=len(false),
        false_per_camera_day_upper95=round(poisson_upper95(len(false)) / max(1, len(others)) * passes_per_day, 3),
        passes_per_day=passes_per_day,
        p95_seconds_to_request=round(float(np.quantile(seconds, 0.95)), 3) if seconds else None,
        p95_over_limit_s=round(float(np.quantile(over, 0.95)), 3) if over else None,
        in_time=round(sum(one <= 0 for one in over) / max(1, len(events)), 4),
        recall_by_weather={
            name: round(float(np.mean([one.requested_ms is not None for one in events if one.weather == name])), 3)
            for name in weathers
        },
        false_by_subject={
            name: sum(one.subject == name for one in false) for name in sorted({o.subject for o in false})
        },
        reliability=bins,
        brier=brier,
        detector=detector,
    )


def _reliability(events: list[Result], others: list[Result]) -> tuple[list[Bin], float]:
    if not events or not others:
        return [], 0.0
    shift = log(len(events) / len(others)) - PRIOR_LOG_ODDS
    chances, asked = [], []
    for one in [*events, *others]:
        chance = min(1 - 1e-6, max(1e-6, one.chance))
        chances.append(1 / (1 + exp(-(log(chance / (1 - chance)) + shift))))
        asked.append(float(one.subject == "event"))
    told, truth = np.array(chances), np.array(asked)
    bins = []
    for low, high in _BINS:
        within = (told >= low) & ((told < high) | (high == 1.0))
        if within.any():
            mean, share = round(float(told[within].mean()), 4), round(float(truth[within].mean()), 4)
            bins.append(Bin(low, high, mean, share, int(within.sum())))
    return bins, round(float(((told - truth) ** 2).mean()), 5)


def poisson_upper95(count: int) -> float:
    """The mean above which so few would be seen once in twenty times (Garwood 1936, Biometrika 28, 437): 3.0 for 0."""
    low, high = float(count), 3.0 * count + 10.0
    for _ in range(60):
        middle = (low + high) / 2
        term = total = exp(-middle)
        for k in range(1, count + 1):
            term *= middle / k
            total += term
        low, high = (middle, high) if total > 0.05 else (low, middle)
    return high


class Kept:
    """Results on disk, one JSON line each; a last line that was cut off is passed over."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._found: dict[tuple[int, str], Result] = {}
        if path is not None and path.is_file():
            for line in path.read_bytes().splitlines():
                try:
                    one = msgspec.json.decode(line, type=Result)
                except msgspec.DecodeError:
                    continue
                self._found[one.seed, one.subject] = one

    def get(self, window: Window) -> Result | None:
        return self._found.get((window.seed, window.subject))

    def put(self, one: Result) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(b"\n" + msgspec.json.encode(one))


def _key(name: str, seed: int) -> str:
    return hashlib.sha256(f"{EDITION}/{name}/{seed}".encode()).hexdigest()[:16]
