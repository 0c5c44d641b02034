"""Scenes drawn by a seed from stated ranges: what an estimate is judged on must not be known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Literal, get_args

import numpy as np

from sim_devices.render.camera import Camera, Range, mount
from sim_devices.render.road import Road
from sim_devices.render.scene import Scene
from sim_devices.render.sequences import Mix
from sim_devices.render.weather import DAY, FOG, NIGHT, OVERCAST, RAIN, Weather

Condition = Literal["day", "fog", "night", "rain"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

# -- the road: one lane is at least 3 m, the rectangle as long as its camera can tell cars apart
LANES = (1, 4)
LANE_WIDTH_M: Range = (3.0, 3.7)
LENGTH_M: Range = (35.0, 70.0)
OPPOSITE_LANES = (0, 2)
ASPHALT: Range = (75.0, 120.0)
REPAIRS = (0, 10)
UNMARKED_SHARE = 0.1
# -- the camera: mast and place; tilt and lens follow, so that the rectangle fills most of the picture
HEIGHT_M: Range = (6.5, 11.0)
SETBACK_M: Range = (9.0, 17.0)
# -- light and air. Visibility in metres is 3.9 / extinction (Koschmieder): fog 110 to 330 m.
CLOUDY_SHARE = 0.4
SUN: Range = (0.5, 0.8)
SUN_HEIGHT_DEG: Range = (25.0, 65.0)
DAY_AMBIENT: Range = (0.5, 0.7)
CLOUDY_AMBIENT: Range = (0.65, 0.95)
FOG_PER_M: Range = (0.012, 0.035)
FOG_GREY: Range = (165.0, 205.0)
NIGHT_AMBIENT: Range = (0.08, 0.18)
NIGHT_NOISE: Range = (3.0, 6.0)
RAIN_STRENGTH: Range = (0.4, 1.0)
RAIN_FOG_PER_M: Range = (0.004, 0.012)
NOISE: Range = (1.5, 3.0)
SHAKE_PX: Range = (0.0, 1.0)
# -- traffic: shares of kinds; the rest are cars and vans
HEAVY_SHARE: Range = (0.02, 0.20)
TWO_WHEELER_SHARE: Range = (0.02, 0.20)
DEMAND: Range = (0.7, 1.2)


@dataclass(frozen=True)
class Ranges:
    """Those of the road's and the camera's measures that another use may want wider."""

    length_m: Range = LENGTH_M
    height_m: Range = HEIGHT_M
    setback_m: Range = SETBACK_M


@dataclass(frozen=True)
class Drawn:
    """What a seed gives. demand: a factor on a script's arrivals."""

    road: Road
    camera: Camera
    weather: Weather
    mix: Mix
    demand: float
    seed: int

    def scene(self) -> Scene:
        return Scene(self.camera, self.road, self.weather, self.seed)


def draw(condition: Condition, seed: int, ranges: Ranges = Ranges()) -> Drawn:
    """The scene of this seed; the same seed in another condition is the same road under the same camera."""
    random = np.random.default_rng((seed, 0xD4A3))
    lanes = int(random.integers(LANES[0], LANES[1] + 1))
    opposite = int(random.integers(OPPOSITE_LANES[0], OPPOSITE_LANES[1] + 1))
    lane_m = float(random.uniform(*LANE_WIDTH_M))
    road = Road(
        lane_widths_m=(lane_m,) * lanes,
        visible_length_m=float(random.uniform(*ranges.length_m)),
        opposite_widths_m=(lane_m,) * opposite,
        lane_marks=bool(random.random() >= UNMARKED_SHARE),
        arrows=("s",) * lanes if random.random() < 0.5 else (),
        asphalt=float(random.uniform(*ASPHALT)),
        repairs=int(random.integers(REPAIRS[0], REPAIRS[1] + 1)),
    )
    camera = mount(road, seed, height_m=ranges.height_m, setback_m=ranges.setback_m)
    mix, demand = _mix(random), float(random.uniform(*DEMAND))
    return Drawn(road, camera, _weather(condition, random), mix, demand, seed)


def _mix(random: np.random.Generator) -> Mix:
    heavy, two_wheelers = random.uniform(*HEAVY_SHARE), random.uniform(*TWO_WHEELER_SHARE)
    rest = 1.0 - heavy - two_wheelers
    return (
        ("car", 0.88 * rest),
        ("van", 0.12 * rest),
        ("truck", 0.6 * heavy),
        ("bus", 0.4 * heavy),
        ("motorcycle", 0.7 * two_wheelers),
        ("bicycle", 0.3 * two_wheelers),
    )


def _weather(condition: Condition, random: np.random.Generator) -> Weather:
    shake_px, noise = float(random.uniform(*SHAKE_PX)), float(random.uniform(*NOISE))

    def of(base: Weather, **drawn: Range) -> Weather:
        values = {name: float(random.uniform(*bounds)) for name, bounds in drawn.items()}
        return Weather(**{**vars(base), "shake_px": shake_px, "noise": noise, **values})

    if condition == "fog":
        return of(FOG, fog_per_m=FOG_PER_M, airlight=FOG_GREY, ambient=CLOUDY_AMBIENT)
    if condition == "night":
        return of(NIGHT, ambient=NIGHT_AMBIENT, noise=NIGHT_NOISE)
    if condition == "rain":
        return of(RAIN, rain=RAIN_STRENGTH, fog_per_m=RAIN_FOG_PER_M, ambient=CLOUDY_AMBIENT)
    if random.random() < CLOUDY_SHARE:
        return of(OVERCAST, ambient=CLOUDY_AMBIENT)
    around, up = radians(random.uniform(0.0, 360.0)), radians(random.uniform(*SUN_HEIGHT_DEG))
    day = of(DAY, ambient=DAY_AMBIENT, sun=SUN)
    return Weather(**{**vars(day), "sun_from": (cos(around) * cos(up), sin(around) * cos(up), sin(up))})
