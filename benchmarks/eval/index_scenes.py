"""Rendered scenes to fit the lane network to: `python -m benchmarks.eval.index_scenes DIR --first 100 --last 400`.

Each scene becomes one file: planes as models.occupancy.network reads them, and the truth of each cell. Two of five
scenes are drawn from wider ranges than those that the index is judged on, so that no road is at the edge of what was
learnt. Seeds below 100 are for judging alone. What is there already is left as it is.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.traffic.birds_eye import ROW_M
from agent.traffic.calibration import calibrate
from agent.traffic.haze import SMALL, extinction, followed
from agent.traffic.index import IndexModel
from agent.traffic.steady import SteadyState, steady
from benchmarks.eval.index import calibration_of
from sim_devices.plain_road import DrawnRoad
from sim_devices.render import background
from sim_devices.render.draw import CONDITIONS, Condition, Ranges, draw
from sim_devices.render.road import Road
from sim_devices.render.sequences import Act, Script, play
from sim_devices.render.truth import STANDING_MPS
from sim_devices.render.vehicle import RoadVehicle

WIDE = Ranges(length_m=(8.0, 90.0), height_m=(5.0, 14.0), setback_m=(4.0, 22.0))
FIRST_SEED = 100
FPS = 5.0
_WARM_UP: Script = (Act(40, 300, True), Act(20, 500, False), Act(20, 300, True))
_WARM_FRAMES, _WARM_EVERY, _EVERY, _BEFORE = 400, 15, 23, 2
_STANDING_SHARE, _STANDING_EVERY = 0.12, 45
# Every so many scenes one of the plain painter's.
_PLAIN_EVERY, _PLAIN_WARM, _PLAIN_SAMPLES = 4, 20, 40
_PLAIN_LANE_M = 3.5
# Width, length, height in metres, and how common each is.
_PLAIN_SIZES = ((1.8, 4.5, 1.45), (2.0, 5.6, 2.2), (2.5, 9.0, 3.3), (2.5, 12.0, 3.1), (0.8, 2.2, 1.6))
_PLAIN_SHARES = (0.68, 0.1, 0.08, 0.04, 0.1)
# Painted at the picture's own size: four times faster than what is judged.
_SUPERSAMPLING = 1


@dataclass(frozen=True)
class Cells:
    """The truth of each cell, (lanes, rows): the share of its road under vehicles, that under standing ones, and how
    many vehicles have their middle in it."""

    footprint: NDArray[np.float32]
    standing: NDArray[np.float32]
    vehicles: NDArray[np.uint8]


def condition_of_seed(seed: int) -> Condition:
    """Conditions come by turns."""
    return CONDITIONS[seed % len(CONDITIONS)]


def cells(road: Road, vehicles: list[RoadVehicle], near_m: NDArray[np.floating]) -> Cells:
    lanes, shape = road.lane_bounds(), (len(road.lane_widths_m), len(near_m))
    found = Cells(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint8))
    for vehicle in vehicles:
        corners = np.array(vehicle.footprint())
        (left, near), (right, far), (x, y) = corners.min(axis=0), corners.max(axis=0), corners.mean(axis=0)
        near, far = max(near, 0.0), min(far, road.visible_length_m)
        along = np.clip(np.minimum(near_m + ROW_M, far) - np.maximum(near_m, near), 0, ROW_M) / ROW_M
        for lane, (low, high) in enumerate(lanes):
            across = max(0.0, min(right, high) - max(left, low)) / (high - low)
            found.footprint[lane] += across * along
            if vehicle.speed_mps < STANDING_MPS:
                found.standing[lane] += across * along
            if low <= x < high and 0 <= y < road.visible_length_m:
                found.vehicles[lane, int((y - near_m[0]) / ROW_M)] += 1
    return found


def scene(condition: Condition, seed: int) -> dict[str, Any]:
    """What one file holds: x (samples, planes, lanes, rows), footprint, standing, vehicles (samples, lanes, rows)."""
    random = np.random.default_rng((seed, 7))
    drawn = draw(condition, seed, WIDE if seed // len(CONDITIONS) % 5 < 2 else Ranges())
    rendered, calibration = drawn.scene(), calibration_of(drawn)
    model = IndexModel(calibration)
    state, air = model.initial(), model.view.air_samples()
    held, haze = SteadyState(), None
    acts, every = _acts(random)
    frames = list(play(drawn.road, _WARM_UP + acts, seed, FPS, drawn.mix))
    planes, truth, before = [], [], None
    for number, sampled in _chosen(len(frames), every, random):
        t_s, vehicles = frames[number]
        image, mono_ms = rendered.render(vehicles, t_s, boxes=False).frame, round(t_s * 1000)
        small = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
        haze = followed(haze, extinction(small, air), 0.0 if before is None else t_s - before)
        before = t_s
        held, shift = steady(held, cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), mono_ms, calibration.picture)
        profile, noise = model.view.profile(image, shift, haze)
        if sampled:
            planes.append(model.planes(state, profile, noise, mono_ms, haze).astype(np.float16))
            truth.append(cells(drawn.road, vehicles, model.view.rows.near_m))
        state, _ = model.step(state, profile, noise, mono_ms, haze_per_m=haze)
    names = ("footprint", "standing", "vehicles")
    told = {name: np.array([getattr(one, name) for one in truth]) for name in names}
    return {"x": np.array(planes), **told, "condition": condition, "seed": seed}


def plain(seed: int) -> dict[str, Any]:
    """The same of a plain road: vehicles in rows, standing or driving, a new row for each sample."""
    random = np.random.default_rng((seed, 0xB0))
    road = _plain_road(random)
    lanes = round(road.width_m / _PLAIN_LANE_M)
    points = tuple((float(x), float(y)) for x, y in road.corners)
    model = IndexModel(calibrate(points, road.width_m, road.length_m, road.size, lanes=lanes))  # type: ignore[arg-type]
    near_m, state, planes, truth, now_ms = model.view.rows.near_m, model.initial(), [], [], 0
    for number in range(_PLAIN_WARM + 2 * _PLAIN_SAMPLES):
        sampled = number >= _PLAIN_WARM and number % 2 == 1
        if not sampled:
            speed_mps = 0.0 if random.random() < 0.5 else float(random.uniform(2, 14))
            empty = number < _PLAIN_WARM and random.random() < 0.7
            row = [] if empty else _plain_row(road, lanes, random)
            now_ms += 2000
        else:
            row = [(x, y - 0.4 * speed_mps, *rest) for x, y, *rest in row]
            now_ms += 400
        profile, noise = model.view.profile(road.draw(row))
        if sampled:
            planes.append(model.planes(state, profile, noise, now_ms).astype(np.float16))
            truth.append(_plain_cells(road, lanes, row, near_m, speed_mps))
        state, _ = model.step(state, profile, noise, now_ms)
    names = ("footprint", "standing", "vehicles")
    told = {name: np.array([getattr(one, name) for one in truth]) for name in names}
    return {"x": np.array(planes), **told, "condition": "plain", "seed": seed}


def _plain_road(random: np.random.Generator) -> DrawnRoad:
    while True:
        road = DrawnRoad(
            width_m=_PLAIN_LANE_M * int(random.integers(1, 5)),
            length_m=float(random.uniform(20, 80)),
            height_m=float(random.uniform(5, 14)),
            distance_m=float(random.uniform(8, 20)),
            aside_m=float(random.uniform(-4, 4)),
            fog=float(random.uniform(0.01, 0.04)) if random.random() < 0.3 else 0.0,
            night=bool(random.random() < 0.25),
            noise=float(random.uniform(1, 6)),
            seed=int(random.integers(1 << 30)),
            lane_marks=bool(random.random() < 0.8),
        )
        corners = np.array(road.corners)
        if (corners >= 0).all() and (corners <= road.size).all():
            return road


def _plain_row(road: DrawnRoad, lanes: int, random: np.random.Generator) -> list[tuple[Any, ...]]:
    row = []
    for lane in range(lanes):
        y, ends_m = float(random.uniform(-4, 25)), float(random.uniform(0, 1.2 * road.length_m))
        widest_gap_m = float(random.choice([3.0, 8.0, 25.0]))
        while y < ends_m:
            width, length, height = _PLAIN_SIZES[int(random.choice(len(_PLAIN_SIZES), p=_PLAIN_SHARES))]
            x = _PLAIN_LANE_M * (lane + 0.5) + float(random.uniform(-0.4, 0.4))
            row.append((x, y, width, length, height, tuple(random.uniform(20, 235, 3))))
            y += length + float(random.uniform(1.5, widest_gap_m))
    return row


def _plain_cells(
    road: DrawnRoad, lanes: int, row: list[tuple[Any, ...]], near_m: NDArray[np.floating], speed_mps: float
) -> Cells:
    shape = (lanes, len(near_m))
    footprint, vehicles = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    left = np.arange(lanes)[:, None] * _PLAIN_LANE_M
    for x, y, width, length, *_ in row:
        near, far = max(y, 0.0), min(y + length, road.length_m)
        along = np.clip(np.minimum(near_m + ROW_M, far) - np.maximum(near_m, near), 0, ROW_M) / ROW_M
        across = np.clip(np.minimum(left + _PLAIN_LANE_M, x + width / 2) - np.maximum(left, x - width / 2), 0, None)
        footprint += across / _PLAIN_LANE_M * along
        middle = y + length / 2
        if 0 <= middle < road.length_m:
            vehicles[int(x // _PLAIN_LANE_M), int((middle - near_m[0]) / ROW_M)] += 1
    return Cells(footprint, footprint if speed_mps < STANDING_MPS else np.zeros(shape, np.float32), vehicles)


def _acts(random: np.random.Generator) -> tuple[Script, int]:
    if random.random() < _STANDING_SHARE:
        return (Act(30, 1300, False), Act(270, 0, False)), _STANDING_EVERY
    rates, shares = [0.0, 250.0, 500.0, 900.0, 1300.0], [0.1, 0.25, 0.25, 0.25, 0.15]
    return tuple(
        Act(float(random.uniform(15, 40)), float(random.choice(rates, p=shares)), bool(random.random() < 0.5))
        for _ in range(5)
    ), _EVERY


def _chosen(count: int, every: int, random: np.random.Generator) -> Iterator[tuple[int, bool]]:
    """Frames to render, and whether each becomes a sample; another one comes shortly before each sample."""
    yield from ((number, False) for number in range(0, _WARM_FRAMES, _WARM_EVERY))
    for number in range(_WARM_FRAMES + int(random.integers(_BEFORE, 10)), count, every):
        yield number - _BEFORE, False
        yield number, True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--last", type=int, default=FIRST_SEED + 300)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    background.SUPERSAMPLING = _SUPERSAMPLING
    given.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(given.first, given.last + 1):
        condition = condition_of_seed(seed)
        _write(given.folder / f"{condition}-{seed}.npz", lambda: scene(condition, seed))  # noqa: B023 (called at once)
        if seed % _PLAIN_EVERY == 0:
            _write(given.folder / f"plain-{seed}.npz", lambda: plain(seed))  # noqa: B023


def _write(path: Path, make: Callable[[], dict[str, Any]]) -> None:
    if path.exists():
        return
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **make())
    os.replace(part, path)
    print(path, flush=True)


if __name__ == "__main__":
    main()
