"""The index against the renderer's truth: how far off, how well correlated, how honest its interval is.

One run is one camera in one weather: height, place, lens, textures and traffic follow from the seed. Run it with
`python -m benchmarks.index --scenario day --seed 1`; it prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera.port import Frame
from agent.traffic.calibration import calibrate
from agent.traffic.pipeline import Pipeline, View
from protocol.units import classify, index_from_occupancy
from sim_devices.render.camera import mount
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import Act, Script, play
from sim_devices.render.truth import Truth
from sim_devices.render.weather import WEATHERS

FPS = 5.0
# Some traffic first, as a camera that has hung there for some minutes has seen; then what is judged.
WARM_UP: Script = (Act(60, 300, True), Act(25, 500, False), Act(35, 300, True))
_JUDGED: Script = (Act(30, 450, True), Act(45, 800, False), Act(30, 500, True), Act(30, 900, False), Act(45, 500, True))
_QUEUE: Script = (Act(30, 1300, False), Act(300, 0, False))
SCENARIOS: dict[str, tuple[str, Script]] = {
    "day": ("day", _JUDGED),
    "fog": ("fog", _JUDGED),
    "night": ("night", _JUDGED),
    "rain": ("rain", _JUDGED),
    "queue": ("day", _QUEUE),
}


@dataclass(frozen=True)
class Moment:
    truth: Truth
    view: View


def moments(scenario: str, seed: int, road: Road | None = None) -> Iterator[Moment]:
    """The judged part of one scenario, frame by frame."""
    weather, judged = SCENARIOS[scenario]
    road = road or Road()
    camera = mount(road, seed)
    scene = Scene(camera, road, WEATHERS[weather], seed)
    corners = [(float(x), float(y)) for x, y in camera.corners(road)]
    points = (corners[0], corners[1], corners[2], corners[3])
    calibration = calibrate(
        points, road.width_m, road.visible_length_m, (camera.width_px, camera.height_px), lanes=len(road.lane_widths_m)
    )
    pipeline = Pipeline(calibration)
    warm_s = sum(act.duration_s for act in WARM_UP)
    for number, (t_s, vehicles) in enumerate(play(road, WARM_UP + judged, seed, FPS)):
        rendered = scene.render(vehicles, t_s, boxes=False)
        at_ms = round(t_s * 1000)
        view = pipeline.look(Frame(rendered.frame, at_ms, at_ms, number))
        if t_s >= warm_s:
            yield Moment(rendered.truth, view)


def judge(found: list[Moment]) -> dict[str, float | int | None]:
    """mae, r: of occupancy; class_accuracy: share of frames whose class is the truth's; coverage: share of frames whose
    90 % interval holds the truth; queue_floor_ratio: the least ratio of estimate to truth while a queue stands."""
    told = [one for one in found if one.view.reading.occupancy.value is not None]
    truth = np.array([one.truth.occupancy for one in told])
    value = np.array([one.view.reading.occupancy.value for one in told], float)
    covered = [one.view.reading.occupancy.low <= one.truth.occupancy <= one.view.reading.occupancy.high for one in told]
    right = [one.view.reading.congestion == classify(index_from_occupancy(one.truth.occupancy)) for one in told]
    varies = len(told) > 2 and truth.std() > 1e-6 and value.std() > 1e-6
    queues = [
        abs(one.truth.queue_m - (one.view.reading.queue_m.value or 0.0))
        for one in told
        if one.view.reading.queue_m is not None
    ]
    speeds = [
        (one.truth.speed_mps, one.view.reading.speed_mps.value)
        for one in told
        if one.truth.speed_mps is not None and one.view.reading.speed_mps is not None
    ]
    return {
        "mae": _rounded(np.abs(truth - value).mean()) if told else None,
        "bias": _rounded((value - truth).mean()) if told else None,
        "r": _rounded(np.corrcoef(truth, value)[0, 1]) if varies else None,
        "class_accuracy": _rounded(np.mean(right)) if told else None,
        "coverage": _rounded(np.mean(covered)) if told else None,
        "queue_floor_ratio": _queue_floor(truth, value),
        "queue_mae_m": _rounded(np.mean(queues)) if queues else None,
        "speed_mae_mps": _rounded(np.mean([abs(a - (b or 0)) for a, b in speeds])) if speeds else None,
        "told_share": _rounded(len(told) / max(1, len(found))),
        "frames": len(found),
    }


def _queue_floor(truth: NDArray[np.float64], value: NDArray[np.float64]) -> float | None:
    """Over frames at which the truth has stood still for 20 s."""
    hold = int(20 * FPS)
    standing = [i for i in range(hold, len(truth)) if truth[i] > 0.1 and np.ptp(truth[i - hold : i + 1]) < 1e-6]
    return _rounded(min(value[i] / truth[i] for i in standing)) if standing else None


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=[*SCENARIOS], required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    figures = judge(list(moments(arguments.scenario, arguments.seed)))
    print(json.dumps({"scenario": arguments.scenario, "seed": arguments.seed, **figures}))


if __name__ == "__main__":
    main()
