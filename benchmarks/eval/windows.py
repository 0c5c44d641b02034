"""Short stretches of rendered road, each with one subject: an emergency vehicle that wants through, or a distractor.

Everything follows from the seed: camera, road, weather, traffic, beacons, and the times at which pictures are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import pi
from typing import Literal, get_args

import numpy as np

from sim_devices.render.beacons import COLOURS, PATTERNS, Lights, RoadsideLamp
from sim_devices.render.camera import Camera, mount
from sim_devices.render.light import transmission
from sim_devices.render.road import Road
from sim_devices.render.scene import Rendered, Scene
from sim_devices.render.vehicle import SIZES, Kind, RoadVehicle, beacon_hz, vehicle_of_kind
from sim_devices.render.weather import WEATHERS, Weather

Distractor = Literal[
    "police-without-beacons", "ambulance-without-beacons", "road-works", "works-vehicle", "tail-lights",
    "rain-reflections", "traffic",
]  # fmt: skip
DISTRACTORS: tuple[Distractor, ...] = get_args(Distractor)
Subject = Literal["event"] | Distractor
SEEN_PX = 6.0
LEAST_CONTRAST = 0.2
_WEATHERS = ("day", "overcast", "fog", "rain", "night")


@dataclass(frozen=True)
class Shot:
    """One picture of a window. mono_ms: when it was taken. beacon_px: how large the subject's beacons show, each, lit
    or dark, in pixels (0 where none flash)."""

    mono_ms: int
    rendered: Rendered
    beacon_px: float


@dataclass(frozen=True)
class Window:
    """subject_id: of the vehicle that it is about. event: it flashes and wants through."""

    seed: int
    subject: Subject
    camera: Camera
    road: Road
    weather: Weather
    vehicles: tuple[RoadVehicle, ...]
    accelerations: tuple[float, ...]
    lamps: tuple[RoadsideLamp, ...]
    fps: float
    seconds: float

    @property
    def event(self) -> bool:
        return self.subject == "event"

    @property
    def subject_id(self) -> str:
        return self.vehicles[0].id

    @property
    def rate_hz(self) -> float:
        one = self.vehicles[0]
        return one.lights.rate_hz or beacon_hz(one.id)

    def shots(self) -> Iterator[Shot]:
        """The pictures, at times that jitter as a camera's do."""
        scene = Scene(self.camera, self.road, self.weather, self.seed)
        random = np.random.default_rng((self.seed, 0x7E))
        for number in range(int(self.seconds * self.fps)):
            t_s = number / self.fps + float(random.uniform(-0.1, 0.1)) / self.fps + 0.05
            vehicles = self.at(t_s)
            rendered = scene.render(vehicles, t_s, lamps=self.lamps)
            yield Shot(round(t_s * 1000), rendered, self.beacon_px(vehicles[0], rendered))

    def at(self, t_s: float) -> list[RoadVehicle]:
        return [_moved(one, a, t_s) for one, a in zip(self.vehicles, self.accelerations, strict=True)]

    def beacon_px(self, subject: RoadVehicle, rendered: Rendered | None) -> float:
        """Area of one lamp of the bar in the picture, where the vehicle's top is in view, not hidden (by the picture,
        if there is one) and not lost in fog."""
        if not subject.flashing:
            return 0.0
        dx, dy = subject.direction
        back = {"ambulance": 0.33, "fire-engine": 0.11}.get(subject.kind, 0.57) * subject.length_m
        places = np.array([(subject.x_m - dx * back, subject.y_m - dy * back, subject.height_m)])
        pixels, depth = self.camera.project(places)
        x, y = float(pixels[0, 0]), float(pixels[0, 1])
        if depth[0] < 2 or not 0 <= x < self.camera.width_px or not 1 <= y < self.camera.height_px:
            return 0.0
        if float(transmission(self.weather, depth)[0]) < LEAST_CONTRAST:
            return 0.0
        if rendered is not None:
            box = next((one.box for one in rendered.truth.boxes if one.id == subject.id), None)
            if box is None or y < box[1] - 4:
                return 0.0
        scale = self.camera.focal_px / float(depth[0])
        return float(0.32 * subject.width_m * scale * 0.1 * subject.height_m * scale)


def seen_long_enough(window: Window) -> bool:
    """Whether the subject's beacons show with SEEN_PX for a second and two periods, and something more."""
    step_s = 0.1
    shown = [
        window.beacon_px(window.at(number * step_s)[0], None) >= SEEN_PX
        for number in range(int(window.seconds / step_s))
    ]
    return sum(shown) * step_s >= 1.5 + 2.0 / window.rate_hz


def _moved(one: RoadVehicle, acceleration: float, t_s: float) -> RoadVehicle:
    """Where it is after t_s: it drives along its heading and stops where braking has brought it to rest."""
    until = t_s if acceleration >= 0 else min(t_s, one.speed_mps / -acceleration)
    gone = one.speed_mps * until + acceleration * until**2 / 2
    _, dy = one.direction
    return replace(one, y_m=one.y_m + dy * gone, speed_mps=max(0.0, one.speed_mps + acceleration * until))


def event(seed: int, seconds: float = 6.0) -> Window:
    """An ambulance, a police car or a fire engine with its beacons on: it comes, or stands on the approach."""
    random = np.random.default_rng((seed, 0xE1))
    kind: Kind = random.choice(["ambulance", "police", "fire-engine"])
    base = [("blue", "blue"), ("red", "blue"), ("blue", "red"), ("red", "red")]
    colours = base[int(random.choice(4, p=[0.5, 0.2, 0.1, 0.2]))]
    pattern = PATTERNS[int(random.choice(4, p=[0.4, 0.15, 0.2, 0.25]))]
    # A rhythm of double flashes is slower than one of single ones: its lamps must be seen apart.
    rate_hz = float(random.uniform(1.0, 2.2 if pattern == "double-flash" else 4.0))
    lights = Lights(
        colours=colours,  # type: ignore[arg-type]
        pattern=pattern,
        rate_hz=rate_hz,
        phase=float(random.uniform()),
        strength=float(random.uniform(0.35, 1.0)),
    )
    return _window(seed, "event", random, kind, lights, True, seconds)


def distractor(seed: int, subject: Distractor | None = None, seconds: float = 5.0) -> Window:
    random = np.random.default_rng((seed, 0xD1))
    subject = subject or DISTRACTORS[seed % len(DISTRACTORS)]
    kind: Kind = random.choice(["car", "van", "truck", "bus", "motorcycle"], p=[0.7, 0.1, 0.08, 0.07, 0.05])
    lights = Lights()
    if subject in ("police-without-beacons", "ambulance-without-beacons"):
        kind = "police" if subject.startswith("police") else "ambulance"
        if random.uniform() < 0.3:
            lights = Lights(indicator="left" if random.uniform() < 0.5 else "right", indicator_hz=random.uniform(1, 2))
    elif subject == "works-vehicle":
        kind = random.choice(["truck", "van"])
        rate, phase = float(random.uniform(1.0, 3.0)), float(random.uniform())
        pattern = PATTERNS[int(random.integers(len(PATTERNS)))]
        lights = Lights(("amber", "amber"), pattern, rate, phase, float(random.uniform(0.4, 1)), works=True)
    elif subject in ("tail-lights", "rain-reflections"):
        side = ("left", "right", "both", "off")[int(random.integers(4))]
        tail = float(random.uniform(1.0, 4.5)) if random.uniform() < 0.5 else 0.0
        lights = Lights(indicator=side, indicator_hz=float(random.uniform(1, 2)), tail_hz=tail)  # type: ignore[arg-type]
    return _window(seed, subject, random, kind, lights, lights.works, seconds)


def _window(  # noqa: PLR0917
    seed: int, subject: Subject, random: np.random.Generator, kind: Kind, lights: Lights, beacons: bool, seconds: float
) -> Window:
    lanes = int(random.integers(1, 4))
    road = Road((float(random.uniform(3.0, 3.6)),) * lanes, float(random.uniform(40, 70)))
    name = "rain" if subject == "rain-reflections" else _WEATHERS[int(random.integers(len(_WEATHERS)))]
    if subject == "tail-lights" and random.uniform() < 0.5:
        name = "night"
    away = random.uniform() < {"tail-lights": 0.8, "event": 0.0}.get(subject, 0.2)
    lane = int(random.integers(lanes))
    standing = random.uniform() < 0.15
    speed = 0.0 if standing else float(random.uniform(5, 17))
    if away:
        x, y, heading = road.width_m + 1.65, float(random.uniform(0, 15)), pi
        acceleration = 0.0
    else:
        x, heading = road.lane_centre_m(lane), 0.0
        y = float(random.uniform(12, 45)) if standing else float(random.uniform(45, 95))
        acceleration = 0.0 if standing or random.uniform() < 0.5 else -float(random.uniform(1.0, 2.5))
        if acceleration and speed**2 / (2 * -acceleration) > y - 2:
            acceleration = -(speed**2) / (2 * (y - 2))
    one = vehicle_of_kind(
        f"{subject}-{seed}", kind, x, y, speed_mps=speed, heading_rad=heading, beacons=beacons, lights=lights
    )
    others = _traffic(random, road, one, lane, away, acceleration)
    lamps = _works(random, road) if subject == "road-works" else ()
    camera = mount(road, seed)
    fps = float(random.uniform(10.5, 13.0))
    weather = WEATHERS[name].shaken(float(random.uniform(0.1, 0.6)))
    vehicles, accelerations = [one, *[v for v, _ in others]], [acceleration, *[a for _, a in others]]
    return Window(seed, subject, camera, road, weather, tuple(vehicles), tuple(accelerations), lamps, fps, seconds)


def _traffic(  # noqa: PLR0917
    random: np.random.Generator, road: Road, one: RoadVehicle, lane: int, away: bool, acceleration: float
) -> list[tuple[RoadVehicle, float]]:
    """Others in the other lanes at their own pace, and at the subject's behind and before it in its own."""
    found = []
    kinds = ["car", "van", "truck", "bus", "motorcycle"]
    for other in range(len(road.lane_widths_m) + 1):
        opposite = other == len(road.lane_widths_m)
        own = opposite if away else other == lane
        if own or random.uniform() < 0.25:
            speed, pull = (one.speed_mps, acceleration) if own else (float(random.uniform(0, 14)), 0.0)
        else:
            speed, pull = 0.0, 0.0
        place = float(random.uniform(2, 20))
        for number in range(int(random.integers(0, 4))):
            kind: Kind = random.choice(kinds, p=[0.76, 0.08, 0.05, 0.05, 0.06])
            length = SIZES[kind][0]
            x = road.width_m + 1.65 if opposite else road.lane_centre_m(other)
            clear = own and abs(place + length / 2 - one.y_m) < length / 2 + one.length_m + 6
            tail_hz = float(random.uniform(1, 4.5)) if random.uniform() < 0.05 else 0.0
            lights = Lights(indicator="both" if random.uniform() < 0.05 else "off", tail_hz=tail_hz)
            if not clear and not (
                own and not away and place < one.y_m and pull == 0.0 and speed == 0.0 and one.speed_mps
            ):
                moving = {"speed_mps": speed, "heading_rad": pi if opposite else 0.0, "lights": lights}
                found.append((vehicle_of_kind(f"{kind}-{other}-{number}", kind, x, place, **moving), pull))  # type: ignore[arg-type]
            place += length + float(random.uniform(2.5, 18))
    return found


def _works(random: np.random.Generator, road: Road) -> tuple[RoadsideLamp, ...]:
    """Barriers with flashing lamps along the kerb or the centre line."""
    x = float(random.choice([-0.4, road.width_m + 0.1]))
    begin, gap = float(random.uniform(4, 25)), float(random.uniform(2.5, 7))
    colour = COLOURS[2] if random.uniform() < 0.9 else COLOURS[1]
    rate = float(random.uniform(0.8, 2.0))
    return tuple(
        RoadsideLamp(x + float(random.uniform(-0.2, 0.2)), begin + gap * i, 1.1, colour, rate, float(random.uniform()))
        for i in range(int(random.integers(2, 7)))
    )
