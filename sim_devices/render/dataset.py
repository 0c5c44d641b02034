"""Rendered pictures with YOLO labels, to train a detector and to judge one: `python -m sim_devices.render.dataset DIR`.

Roads, cameras, weathers and what drives there are drawn from a seed; every kind comes as often as every other, so that
rare ones are seen enough. Writes DIR/images/*.jpg and DIR/labels/*.txt, class ids in the order of LABELS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import pi
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from models.vision.detector import LABELS, Label
from sim_devices.render.camera import Camera, mount
from sim_devices.render.draw import CONDITIONS, draw
from sim_devices.render.road import Road
from sim_devices.render.scene import Rendered, Scene
from sim_devices.render.vehicle import EMERGENCY_KINDS, KINDS, SIZES, Kind, RoadVehicle, vehicle_of_kind
from sim_devices.render.weather import WEATHERS, Weather

KIND_LABELS: dict[Kind, Label] = {
    "car": "car", "van": "car", "bus": "bus", "truck": "truck", "motorcycle": "motorcycle", "bicycle": "bicycle",
    "ambulance": "ambulance", "fire-engine": "fire_engine", "police": "police_car", "three-wheeler": "other_vehicle",
    "person": "person",
}  # fmt: skip
# Frames that share one empty road, which takes longest to paint.
FRAMES_PER_SCENE = 8
# What the shipped detector was taught in.
DRAWN = ("day", "overcast", "fog", "rain", "night")
LEAST_PX = 5
FOG_PER_M = (0.008, 0.06)
AMBIENT = (0.8, 1.2)
GAP_M = (1.5, 22.0)
SIZE_SPREAD = 0.12
WIDTH_PX = 640


def draw_pictures(count: int, seed: int) -> Iterator[Rendered]:
    """`count` pictures of 640 pixels width, with their truth. Every other road is drawn as the index is judged on them
    (sim_devices.render.draw), the rest from wider ranges."""
    for number in range(-(-count // FRAMES_PER_SCENE)):
        random = np.random.default_rng((seed, number, 0xDA7A))
        if number % 2:
            scene = draw(CONDITIONS[int(random.integers(len(CONDITIONS)))], int(random.integers(1 << 30))).scene()
        else:
            road = _road(random)
            scene = Scene(_camera(road, random), road, _weather(random), int(random.integers(1 << 30)))
        for frame in range(min(FRAMES_PER_SCENE, count - number * FRAMES_PER_SCENE)):
            yield scene.render(_traffic(scene.road, random, frame), float(random.uniform(0, 1000)))


def _road(random: np.random.Generator) -> Road:
    lanes = int(random.integers(1, 5))
    widths = tuple(float(random.uniform(2.9, 3.7)) for _ in range(lanes))
    opposite = tuple(3.3 for _ in range(int(random.integers(0, 4))))
    return Road(widths, float(random.uniform(35, 90)), opposite, lane_marks=bool(random.random() < 0.8))


def _camera(road: Road, random: np.random.Generator) -> Camera:
    height = int(random.choice((360, 480)))
    camera = mount(road, int(random.integers(1 << 30)), WIDTH_PX, height)
    if random.random() < 0.5:
        return camera
    # Another mast and lens: lower or higher, turned a little, nearer or wider.
    return replace(
        camera,
        height_m=camera.height_m * random.uniform(0.5, 1.3),
        focal_px=camera.focal_px * random.uniform(0.75, 1.8),
        pitch_rad=camera.pitch_rad * random.uniform(0.8, 1.15),
        yaw_rad=camera.yaw_rad + random.uniform(-0.12, 0.12),
    )


def _weather(random: np.random.Generator) -> Weather:
    weather = WEATHERS[str(random.choice(DRAWN))]
    fog = float(np.exp(random.uniform(*np.log(FOG_PER_M)))) if weather.name == "fog" else weather.fog_per_m
    return replace(
        weather,
        fog_per_m=fog,
        ambient=weather.ambient * random.uniform(*AMBIENT),
        airlight=weather.airlight * random.uniform(0.85, 1.1),
        noise=weather.noise * random.uniform(0.6, 1.8),
    )


def _traffic(road: Road, random: np.random.Generator, frame: int) -> list[RoadVehicle]:
    """Each lane filled from the stop line back, by gaps from a jam's to free flow's, and people beside and between."""
    vehicles: list[RoadVehicle] = []
    reach = random.uniform(*GAP_M)
    lanes = [((low + high) / 2, 0.0) for low, high in road.lane_bounds()]
    x = road.width_m
    for width in road.opposite_widths_m:
        lanes.append((x + width / 2, pi))
        x += width
    driving = [kind for kind in KINDS if kind != "person"]
    for lane, (middle, heading) in enumerate(lanes):
        y = random.uniform(-6.0, 8.0)
        while y < road.visible_length_m * 1.2:
            kind = driving[int(random.integers(len(driving)))]
            name = f"{kind}-{frame}-{lane}-{round(y * 10)}-{int(random.integers(1 << 20))}"
            one = _vehicle(name, kind, middle, y, heading, random)
            vehicles.append(one)
            y += one.length_m + random.uniform(GAP_M[0], GAP_M[0] + reach)
    for number in range(int(random.integers(0, 7))):
        side = float(random.choice((-1.6, x + 1.6, random.uniform(0, road.width_m))))
        name = f"person-{frame}-{number}-{int(random.integers(1 << 20))}"
        heading = float(random.uniform(-pi, pi))
        vehicles.append(_vehicle(name, "person", side, float(random.uniform(-2, 45)), heading, random))
    return vehicles


def _vehicle(  # noqa: PLR0917 (a vehicle and where it stands)
    name: str, kind: Kind, x_m: float, y_m: float, heading_rad: float, random: np.random.Generator
) -> RoadVehicle:
    length, width, height = (size * random.uniform(1 - SIZE_SPREAD, 1 + SIZE_SPREAD) for size in SIZES[kind])
    front_m = y_m + length if heading_rad == pi else y_m
    one = vehicle_of_kind(
        name, kind, x_m + float(random.uniform(-0.4, 0.4)), front_m,
        speed_mps=float(random.choice((0.0, 9.0))), heading_rad=heading_rad + float(random.normal(0, 0.04)),
        beacons=bool(kind in EMERGENCY_KINDS and random.random() < 0.7),
    )  # fmt: skip
    return replace(one, length_m=length, width_m=width, height_m=height)


def yolo_lines(rendered: Rendered) -> list[str]:
    """Class id, middle x and y, width and height as shares of the picture, a line for each visible box."""
    height, width = rendered.frame.shape[:2]
    lines = []
    for one in rendered.truth.boxes:
        left, top, right, bottom = one.box
        if min(right - left, bottom - top) < LEAST_PX:
            continue
        shares = (
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        )
        lines.append(" ".join([str(LABELS.index(KIND_LABELS[one.kind])), *(f"{share:.6f}" for share in shares)]))
    return lines


def main(
    folder: Annotated[Path, typer.Argument(help="Where images/ and labels/ go.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 2000,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = 1,
) -> None:
    """Draw pictures of roads with YOLO labels."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    for number, rendered in enumerate(draw_pictures(count, seed)):
        name = f"rendered-{seed}-{number:05d}"
        (images / f"{name}.jpg").write_bytes(rendered.jpeg())
        (labels / f"{name}.txt").write_text("".join(f"{line}\n" for line in yolo_lines(rendered)))


if __name__ == "__main__":
    typer.run(main)
