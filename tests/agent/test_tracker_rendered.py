"""The tracker against what the renderer knows, given a detector as bad as a small one is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from agent.traffic.boxes import overlap
from agent.traffic.calibration import Calibration, calibrate
from agent.traffic.on_road import OnRoad
from agent.traffic.tracker import Tracker
from models.vision.detector import Detection, Label
from sim_devices.render.camera import mount
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import Act, play
from sim_devices.render.truth import VehicleBox
from sim_devices.render.vehicle import RoadVehicle
from sim_devices.render.weather import DAY

FPS = 8.0
SCRIPT = (Act(8, 700, True), Act(16, 900, False), Act(12, 400, True))
LABEL: dict[str, Label] = {"bus": "bus", "truck": "truck", "motorcycle": "motorcycle", "bicycle": "bicycle"}
Moment = tuple[float, dict[str, RoadVehicle], list[VehicleBox]]


@pytest.fixture(scope="module")
def film() -> list[Moment]:
    """What can be seen at all: vehicles with 60 visible pixels and a quarter of their outline."""
    road, camera = Road(), mount(Road(), seed=5)
    scene, on_road = Scene(camera, road, DAY, seed=5), OnRoad(calibration())

    def shows(box: VehicleBox, vehicle: RoadVehicle) -> bool:
        near_m = vehicle.y_m - (vehicle.length_m if vehicle.heading_rad else 0.0)
        whole = on_road.box(vehicle.x_m, near_m, LABEL.get(box.kind, "car"))
        outline = 0.0 if whole is None else (whole[2] - whole[0]) * (whole[3] - whole[1])
        return box.visible_px >= max(60, 0.25 * outline)

    found = []
    for t_s, vehicles in play(road, SCRIPT, 5, FPS):
        by_id = {one.id: one for one in vehicles}
        boxes = scene.render(vehicles, t_s).truth.boxes
        found.append((t_s, by_id, [one for one in boxes if shows(one, by_id[one.id])]))
    return found


def calibration() -> Calibration:
    road, camera = Road(), mount(Road(), seed=5)
    corners = tuple((float(x), float(y)) for x, y in camera.corners(road))
    size = (camera.width_px, camera.height_px)
    return calibrate(corners, road.width_m, road.visible_length_m, size)  # type: ignore[arg-type]


def degraded(film: list[Moment], every: int) -> Iterator[tuple[Moment, list[Detection] | None]]:
    """One in seven is missed, boxes are off by 4 % of their size on each side, scores spread down to the doubtful, one
    class in ten is wrong, and three pictures in ten show something that isn't there."""
    random = np.random.default_rng(11)
    for number, moment in enumerate(film):
        if number % every:
            yield moment, None
            continue
        found = []
        for box in moment[2]:
            if random.random() < 1 / 7:
                continue
            left, top, right, bottom = box.box
            size = np.array([right - left, bottom - top] * 2)
            off = np.array(box.box) + random.normal(0, 0.04, 4) * size
            label = "truck" if random.random() < 0.1 else LABEL.get(box.kind, "car")
            score = float(np.clip(random.normal(0.65, 0.18), 0.1, 0.99))
            found.append(Detection(label, score, tuple(off.tolist())))  # type: ignore[arg-type]
        if random.random() < 0.3:
            x, y, size_px = random.uniform(0, 600), random.uniform(100, 320), random.uniform(15, 60)
            found.append(Detection("car", float(random.uniform(0.1, 0.55)), (x, y, x + size_px, y + size_px)))
        yield moment, found


@pytest.mark.parametrize(
    ("every", "least_cover", "most_switches", "speed_mps"), [(1, 0.93, 0.1, 1.0), (2, 0.85, 0.25, 1.5)]
)
def test_ids_hold_and_speeds_are_right(
    film: list[Moment], every: int, least_cover: float, most_switches: float, speed_mps: float
) -> None:
    """At 8 pictures a second, and at 4: fewer than the 5 that a camera should give."""
    tracker = Tracker(calibration().picture, OnRoad(calibration()))
    state = tracker.initial()
    owner: dict[str, int] = {}
    switches, covered, shown = 0, 0, 0
    speed_off, place_off = [], []
    for (t_s, vehicles, boxes), found in degraded(film, every):
        state, tracks = tracker.step(state, found, round(t_s * 1000))
        left = list(tracks)
        for box in boxes:
            shown += 1
            best = max(left, key=lambda one: overlap(one.box, box.box), default=None)
            if best is None or overlap(best.box, box.box) < 0.4:
                continue
            left.remove(best)
            covered += 1
            switches += owner.get(box.id, best.id) != best.id
            owner[box.id] = best.id
            vehicle = vehicles[box.id]
            if best.ground is None or vehicle.heading_rad or not 0 < vehicle.y_m < 60:
                continue
            place_off.append(abs(best.ground[1] - vehicle.y_m))
            if best.velocity_mps is not None:
                speed_off.append(abs(best.velocity_mps[1] + vehicle.speed_mps))
    assert covered / shown > least_cover
    assert switches <= most_switches * len(owner)
    assert len(speed_off) > 300
    assert np.mean(speed_off) < speed_mps
    assert np.median(place_off) < 1.0
