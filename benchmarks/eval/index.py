"""The index against the renderer's truth: how far off, how well correlated, how honest its interval is.

One run is one scene of one condition: road, camera, textures, light, weather and traffic are drawn by the seed from the
ranges of sim_devices.render.draw.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from agent.camera.port import Frame
from agent.detection.cadence import Cadence
from agent.detection.sight import Sight
from agent.stopwatch import Stopwatch
from agent.traffic.calibration import Calibration, calibrate
from agent.traffic.pipeline import Pipeline, View
from benchmarks.eval.simulated_detector import SimulatedDetector
from models.vision.detector import Detector
from protocol.units import classify, index_from_occupancy
from sim_devices.render.draw import Condition, Drawn, draw
from sim_devices.render.sequences import Act, Script, play
from sim_devices.render.truth import Truth

Scenario = Literal["day", "fog", "night", "rain", "queue"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

FPS = 5.0
# Some traffic first, as a camera that has hung there for some minutes has seen; then what is judged.
WARM_UP: Script = (Act(60, 300, True), Act(25, 500, False), Act(35, 300, True))
TRAFFIC: Script = (Act(30, 450, True), Act(45, 800, False), Act(30, 500, True), Act(30, 900, False), Act(45, 500, True))
STANDING: Script = (Act(30, 1300, False), Act(300, 0, False))
# What the queue's floor is judged on: frames at which the truth has stood still for so long.
_STANDS_S = 20.0

_NO_FRAME = Frame(np.zeros((1, 1, 3), np.uint8), 0, 0, 0)


@dataclass(frozen=True)
class Moment:
    """view: without its picture."""

    truth: Truth
    view: View


class SeedFigures(Struct, frozen=True, kw_only=True):
    """Of Figures, what one seed gave."""

    mae: float | None
    r: float | None
    class_accuracy: float | None
    coverage: float | None
    queue_floor_ratio: float | None


class Figures(Struct, frozen=True, kw_only=True):
    """mae, bias, r: of occupancy. class_accuracy: share of frames whose class is the truth's. coverage: share of frames
    whose 90 % interval holds the truth; half_width: half its mean width. queue_floor_ratio: the least ratio of estimate
    to truth while a queue stands. told_share: of frames that tell an index. weather: mean probabilities. Over all
    frames of all seeds, r and the floor too (the floor is the worst seed's)."""

    scenario: str
    seeds: tuple[int, ...]
    detector: str | None
    mae: float | None
    bias: float | None
    r: float | None
    class_accuracy: float | None
    coverage: float | None
    half_width: float | None
    queue_floor_ratio: float | None
    queue_mae_m: float | None
    speed_mae_mps: float | None
    count_mae: float | None
    told_share: float
    weather: dict[str, float]
    frames: int
    by_seed: dict[int, SeedFigures] = {}


def calibration_of(drawn: Drawn) -> Calibration:
    """The rectangle as a person would mark it, exactly."""
    road, camera = drawn.road, drawn.camera
    a, b, c, d = ((float(x), float(y)) for x, y in camera.corners(road))
    size = (camera.width_px, camera.height_px)
    lanes = len(road.lane_widths_m)
    return calibrate((a, b, c, d), road.width_m, road.visible_length_m, size, lanes=lanes)


def moments(
    scenario: Scenario,
    seed: int,
    detector: Detector | None = None,
    *,
    warm_up: Script | None = None,
    judged: Script | None = None,
) -> Iterator[Moment]:
    """The judged part of one scenario, frame by frame. A queue stands by day. detector: None leaves the edges alone."""
    warm_up, judged = warm_up or WARM_UP, judged or (STANDING if scenario == "queue" else TRAFFIC)
    drawn = draw(condition_of(scenario), seed)
    scene, calibration = drawn.scene(), calibration_of(drawn)
    sight = Sight(detector, calibration, Cadence(), Stopwatch()) if detector is not None else None
    pipeline = Pipeline(calibration, sight=sight)
    simulated = detector if isinstance(detector, SimulatedDetector) else None
    warm_s = sum(act.duration_s for act in warm_up)
    script = tuple(_in_demand(act, drawn.demand) for act in warm_up + judged)
    for number, (t_s, vehicles) in enumerate(play(drawn.road, script, seed, FPS, drawn.mix)):
        rendered = scene.render(vehicles, t_s, boxes=simulated is not None)
        at_ms = round(t_s * 1000)
        if simulated is not None:
            simulated.truth = rendered.truth
        view = pipeline.look(Frame(rendered.frame, at_ms, at_ms, number))
        if t_s >= warm_s:
            yield Moment(rendered.truth, dataclasses.replace(view, frame=_NO_FRAME))


def condition_of(scenario: Scenario) -> Condition:
    return "day" if scenario == "queue" else scenario


def evaluate(
    scenario: Scenario,
    seeds: Sequence[int],
    detector: Detector | Literal["simulated"] | None = None,
    *,
    name: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Figures:
    """All seeds, one after another, on one thread. note: is told when a seed is done."""
    cv2.setNumThreads(1)
    found: list[Moment] = []
    by_seed: dict[int, SeedFigures] = {}
    for seed in seeds:
        used = SimulatedDetector(condition_of(scenario), seed) if detector == "simulated" else detector
        of_this = list(moments(scenario, seed, used))
        figures = judge(scenario, [seed], of_this)
        by_seed[seed] = SeedFigures(**{key: getattr(figures, key) for key in SeedFigures.__struct_fields__})
        found += of_this
        note(f"{scenario} {seed}: mae {figures.mae}, classes {figures.class_accuracy}, inside {figures.coverage}")
    floors = [one.queue_floor_ratio for one in by_seed.values() if one.queue_floor_ratio is not None]
    whole = judge(scenario, seeds, found, name)
    return replace(whole, by_seed=by_seed, queue_floor_ratio=min(floors, default=None))


def judge(scenario: str, seeds: Sequence[int], found: Sequence[Moment], detector: str | None = None) -> Figures:
    told = [one for one in found if one.view.reading.occupancy.value is not None]
    truth = np.array([one.truth.occupancy for one in told])
    value = np.array([one.view.reading.occupancy.value for one in told], float)
    low, high = (np.array([getattr(one.view.reading.occupancy, end) for one in told]) for end in ("low", "high"))
    right = [one.view.reading.congestion == classify(index_from_occupancy(one.truth.occupancy)) for one in told]
    varies = len(told) > 2 and truth.std() > 1e-6 and value.std() > 1e-6
    readings = [(one.truth, one.view.reading) for one in told]
    queues = [abs(a.queue_m - (b.queue_m.value or 0.0)) for a, b in readings if b.queue_m is not None]
    counts = [abs(a.count - (b.count.value or 0.0)) for a, b in readings if b.count is not None]
    speeds = [
        abs(a.speed_mps - (b.speed_mps.value or 0.0))
        for a, b in readings
        if a.speed_mps is not None and b.speed_mps is not None
    ]
    weathers = [one.view.quality.weather for one in told if one.view.quality.weather is not None]
    names = sorted({name for one in weathers for name in one})
    return Figures(
        scenario=scenario,
        seeds=tuple(seeds),
        detector=detector,
        mae=_mean(np.abs(truth - value)),
        bias=_mean(value - truth),
        r=round(float(np.corrcoef(truth, value)[0, 1]), 4) if varies else None,
        class_accuracy=_mean(right),
        coverage=_mean((low <= truth) & (truth <= high)),
        half_width=_mean((high - low) / 2),
        queue_floor_ratio=_queue_floor(truth, value),
        queue_mae_m=_mean(queues),
        speed_mae_mps=_mean(speeds),
        count_mae=_mean(counts),
        told_share=round(len(told) / max(1, len(found)), 4),
        weather={name: _mean([one.get(name, 0.0) for one in weathers]) or 0.0 for name in names},  # type: ignore[call-overload]
        frames=len(found),
    )


def _in_demand(act: Act, demand: float) -> Act:
    return Act(act.duration_s, act.vehicles_per_lane_h * demand, act.green, act.opposite_per_lane_h, act.emergency)


def _queue_floor(truth: NDArray[np.float64], value: NDArray[np.float64]) -> float | None:
    hold = int(_STANDS_S * FPS)
    standing = [i for i in range(hold, len(truth)) if truth[i] > 0.1 and np.ptp(truth[i - hold : i + 1]) < 1e-6]
    return round(float(min(value[i] / truth[i] for i in standing)), 4) if standing else None


def _mean(values: Any) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None
