"""How far to trust what is tracked, fitted to rendered roads: `python -m benchmarks.eval.index_fusion DIR --scenes 16`.

Each scene is one that the lane network was not fitted to (models.occupancy.hold_out), three minutes of traffic as the
index is judged on (where roads are emptier, what tracks miss weighs too little), seen with the shipped detector, and
becomes one file; what is there already is left. Then that Trust
(agent.traffic.occupied) is sought by which the fused occupancy comes nearest to the truth, every scene weighing alike.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera.port import Frame
from agent.detection.cadence import Cadence
from agent.detection.sight import Sight
from agent.stopwatch import Stopwatch
from agent.traffic.occupied import TRUST, Occupancy, Occupied, Trust, weighed
from agent.traffic.pipeline import Pipeline
from agent.traffic.track import Track
from benchmarks.eval.index import FPS, TRAFFIC, calibration_of
from benchmarks.eval.index_scenes import condition_of_seed
from models.occupancy.hold_out import is_held_out
from models.vision.detector import Detector
from models.vision.opening import open_detector
from sim_devices.render.draw import draw
from sim_devices.render.sequences import Act, Script, play

Run = dict[str, NDArray[np.float64]]

# Beyond what the network was fitted to.
FIRST_SEED, LAST_SEED = 468, 2000
# The empty road is learnt from each fifteenth picture; the tracker is given the last seconds of that.
_WARM_UP: Script = (Act(40, 300, True), Act(20, 500, False), Act(20, 300, True))
_WARM_S, _WARM_EVERY, _TRACKED_S = 80.0, 15, 4.0
# Each twentieth scene is a queue that stands.
_STANDING: Script = (Act(30, 1300, False), Act(70, 0, False))
_STANDING_EVERY, _STANDING_FIRST = 20, 8
_ROUNDS = 200


class Listening(Occupancy):
    """Keeps what it was last told."""

    heard: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    def fused(self, edges: Occupied, deviation: NDArray[np.float64], tracks: Sequence[Track]) -> Occupied:
        self.heard = self.by_third(edges.rows), deviation, self.by_third(self.from_tracks(tracks)[0])
        return super().fused(edges, deviation, tracks)


def record(seed: int, standing: bool, detector: Detector) -> Run:
    """edges, deviation, tracks: (frames, lanes, thirds). truth: (frames,), of the whole approach."""
    drawn = draw(condition_of_seed(seed), seed)
    scene, calibration = drawn.scene(), calibration_of(drawn)
    sight, pipeline = Sight(detector, calibration, Cadence(), Stopwatch()), Pipeline(calibration)
    used = pipeline.model.occupancy
    pipeline.model.occupancy = listening = Listening(used.view, pipeline.model.features.within, used.network)
    acts = _STANDING if standing else TRAFFIC
    script = tuple(Act(one.duration_s, one.vehicles_per_lane_h * drawn.demand, one.green) for one in _WARM_UP + acts)
    heard, truth = [], []
    for number, (t_s, vehicles) in enumerate(play(drawn.road, script, seed, FPS, drawn.mix)):
        tracked = t_s >= _WARM_S - _TRACKED_S
        if not tracked and number % _WARM_EVERY:
            continue
        pipeline.sight = sight if tracked else None
        rendered, at_ms = scene.render(vehicles, t_s, boxes=False), round(t_s * 1000)
        pipeline.look(Frame(rendered.frame, at_ms, at_ms, number))
        if t_s >= _WARM_S:
            heard.append(listening.heard)
            truth.append(rendered.truth.occupancy)
    edges, deviation, tracks = (np.array(one) for one in zip(*heard, strict=True))
    return {"edges": edges, "deviation": deviation, "tracks": tracks, "truth": np.array(truth)}


def cost(trust: Trust, runs: Sequence[Run]) -> float:
    """Mean over scenes of the mean error and half the root of the mean square."""
    found = []
    for run in runs:
        value, *_ = weighed(run["edges"], run["deviation"], run["tracks"], trust)
        off = value.mean(axis=(1, 2)) - run["truth"]
        found.append(np.abs(off).mean() + 0.5 * np.sqrt((off**2).mean()))
    return float(np.mean(found))


def fit(runs: Sequence[Run]) -> Trust:
    def at(point: NDArray[np.float64]) -> Trust:
        return Trust(*np.exp(point))

    return at(lowest(lambda point: cost(at(point), runs), np.log(TRUST)))


def lowest(height: Callable[[NDArray[np.float64]], float], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nelder and Mead's simplex (1965, The Computer Journal 7, 308)."""
    corners = [start, *(start + 0.5 * axis for axis in np.eye(len(start)))]
    heights = [height(one) for one in corners]
    for _ in range(_ROUNDS):
        order = np.argsort(heights)
        corners, heights = [corners[i] for i in order], [heights[i] for i in order]
        middle = np.mean(corners[:-1], axis=0)
        step = middle - corners[-1]
        tried = [(height(one), one) for one in (middle + step, middle + 2 * step, middle - 0.5 * step)]
        best = min(tried, key=lambda pair: pair[0])
        if best[0] < heights[-1]:
            heights[-1], corners[-1] = best
        else:
            corners = [corners[0], *(corners[0] + 0.5 * (one - corners[0]) for one in corners[1:])]
            heights = [heights[0], *(height(one) for one in corners[1:])]
    return corners[int(np.argmin(heights))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=16)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    detector, runs = open_detector(), []
    seeds = [seed for seed in range(FIRST_SEED, LAST_SEED) if is_held_out(seed)]
    for number, seed in enumerate(seeds[: given.scenes]):
        path = given.folder / f"{condition_of_seed(seed)}-{seed}.npz"
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez_compressed(part, **record(seed, number % _STANDING_EVERY == _STANDING_FIRST, detector))  # type: ignore[arg-type]
            os.replace(part, path)
        with np.load(path) as stored:
            runs.append({name: stored[name] for name in stored.files})
        print(path, flush=True)
    found = fit(runs)
    print(f"{found} costs {cost(found, runs):.4f}; as shipped {cost(TRUST, runs):.4f}")


if __name__ == "__main__":
    main()
