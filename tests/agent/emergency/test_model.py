"""The emergency model on pictures of painted boxes with lamps: what asks for way, and what is no beacon.

Boxes come from the test itself, in the place of detector and tracker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from agent.emergency.beacon import EMPTY, flicker_of, remember
from agent.emergency.evidence import Declared
from agent.emergency.flicker import Flicker
from agent.emergency.flicker_llr import flicker_llr
from agent.emergency.model import EmergencyModel, EmergencyReading
from agent.emergency.siren import SirenReading
from agent.traffic.track import Track
from models.vision.detector import Label

BLUE, RED, AMBER, WHITE = (255, 140, 40), (50, 40, 255), (40, 170, 255), (255, 255, 255)
MODEL = EmergencyModel({"ambulance": 0.4, "police_car": 0.4, "fire_engine": 0.4}, frozenset({"fire_engine"}))
Box = tuple[float, float, float, float]
# Where (a share of the box across and down) and in which colour a lamp is lit at a time, or not.
Lamp = Callable[[float], tuple[float, float, tuple[int, int, int]] | None]


_SQUARE = ((-1, -1), (1, -1), (1, 1), (-1, 1))


@dataclass(frozen=True)
class Road:
    """One vehicle with lamps, as a noisy picture each 1 / fps s with jitter in box and time."""

    lamps: tuple[Lamp, ...] = ()
    fps: float = 12.5
    seconds: float = 4.5
    width_px: float = 44.0
    growth_per_s: float = 0.1
    drift_px_s: float = 9.0
    paint: tuple[int, int, int] = (200, 205, 205)
    lamp: float = 0.14
    sway: float = 0.02
    gain: Callable[[float], float] = lambda t: 1.0
    label: Label = "car"
    scores: tuple[tuple[Label, float], ...] = (("car", 0.6),)
    velocity_mps: tuple[float, float] | None = (0.0, -6.0)

    def pictures(self, seed: int = 1) -> Iterator[tuple[int, np.ndarray, Track]]:
        random = np.random.default_rng(seed)
        road = cv2.resize(random.integers(70, 130, (12, 20, 3)).astype(np.uint8), (320, 180))
        for number in range(int(self.seconds * self.fps)):
            t = number / self.fps + float(random.uniform(-0.012, 0.012))
            width = self.width_px * (1 + self.growth_per_s * t)
            left, top = 90 + 0.3 * self.drift_px_s * t, 50 + self.drift_px_s * t
            box = (left, top, left + width, top + 0.9 * width)
            frame = self.paint_one(road.copy(), box, t).astype(float) * self.gain(t) + random.normal(0, 2.5, road.shape)
            seen = np.array(box) + random.normal(0, self.sway * width, 4)
            track = Track(
                id=7, label=self.label, scores=dict(self.scores), box=tuple(float(one) for one in seen),  # type: ignore[arg-type]
                first_ms=0, last_ms=round(t * 1000) + 1000, hits=number + 1, velocity_mps=self.velocity_mps,
                seen_ms=round(t * 1000) + 1000,
            )  # fmt: skip
            yield round(t * 1000) + 1000, np.clip(frame, 0, 255).astype(np.uint8), track

    def paint_one(self, frame: np.ndarray, box: Box, t: float) -> np.ndarray:
        left, top, right, bottom = box
        corner = [(round(left), round(top)), (round(right), round(bottom))]
        cv2.rectangle(frame, *corner, self.paint, -1)
        glass = [(round(left + 0.15 * (right - left)), round(top + 0.15 * (bottom - top)))]
        cv2.rectangle(
            frame,
            glass[0],
            (round(right - 0.15 * (right - left)), round(top + 0.45 * (bottom - top))),
            (60, 50, 45),
            -1,
        )
        for lamp in self.lamps:
            lit = lamp(t)
            if lit is not None:
                across, down, colour = lit
                x, y = left + across * (right - left), top + down * (bottom - top)
                size = self.lamp / 2 * (right - left)
                corners = np.array([(x + dx * size, y + dy * size) for dx, dy in _SQUARE])
                cv2.fillConvexPoly(frame, np.round(corners * 16).astype(np.int32), colour, cv2.LINE_AA, shift=4)
        return frame


def flashing(  # noqa: PLR0917
    colour: tuple[int, int, int], hz: float, across: float, phase: float = 0.0, down: float = 0.05, duty: float = 0.5
) -> Lamp:
    """A lamp that is there when it is dark too: light adds to what is seen without it."""
    dark = (round(0.4 * colour[0]), round(0.4 * colour[1]), round(0.4 * colour[2]))
    return lambda t: (across, down, colour if (t * hz + phase) % 1.0 < duty else dark)


def alternating(left: tuple[int, int, int], right: tuple[int, int, int], hz: float) -> tuple[Lamp, ...]:
    return flashing(left, hz, 0.3), flashing(right, hz, 0.7, phase=0.5)


def readings(road: Road, seed: int = 1) -> list[tuple[int, EmergencyReading]]:
    state, found = MODEL.initial(), []
    for mono_ms, image, track in road.pictures(seed):
        state, reading = MODEL.step(state, (track,), image, mono_ms)
        found.append((mono_ms, reading))
    return found


def states(road: Road, seed: int = 1) -> set[str]:
    return {reading.state for _, reading in readings(road, seed)}


@pytest.mark.parametrize("hz", [1.0, 2.4, 4.0])
@pytest.mark.parametrize("colours", [(BLUE, BLUE), (RED, BLUE), (RED, RED)])
def test_beacons_ask_for_way_within_a_second_and_two_periods(
    hz: float, colours: tuple[tuple[int, int, int], ...]
) -> None:
    found = readings(Road(lamps=alternating(*colours, hz)))
    first = next((mono_ms for mono_ms, reading in found if reading.state == "requested"), None)
    assert first is not None
    assert first - 1000 <= 1000 + 2000 / hz
    last = found[-1][1].sightings[0]
    assert last.state == "requested"
    assert last.evidence == ("beacons",)
    assert last.direction == "towards"
    assert ("blue" in last.colours) == (BLUE in colours)
    assert ("red" in last.colours) == (RED in colours)
    assert found[-1][1].senses == ("class", "beacons")


@pytest.mark.parametrize("seed", [1, 2])
def test_small_and_growing_vehicles_are_found(seed: int) -> None:
    assert "requested" in states(Road(alternating(BLUE, BLUE, 2.1), width_px=20, growth_per_s=0.5, drift_px_s=14), seed)


def test_lamps_that_flash_twice_and_in_turn_are_found() -> None:
    def twice(across: float, phase: float) -> Lamp:
        return lambda t: (across, 0.05, BLUE if _twice((t * 1.6 + phase) % 1.0) else (102, 56, 16))

    assert "requested" in states(Road((twice(0.3, 0.0), twice(0.7, 0.5)), lamp=0.16))


def _twice(at: float) -> bool:
    return at < 0.14 or 0.22 <= at < 0.36


NOT_BEACONS = {
    "nothing": (),
    "amber-beacons": alternating(AMBER, AMBER, 1.8),
    "indicators": (flashing(AMBER, 1.5, 0.05, down=0.75), flashing(AMBER, 1.5, 0.95, down=0.75)),
    "tail-lamps-that-flicker": (flashing(RED, 2.2, 0.1, down=0.75), flashing(RED, 2.2, 0.9, down=0.75)),
    "headlamps-that-flash": (flashing(WHITE, 2.0, 0.1, down=0.6), flashing(WHITE, 2.0, 0.9, down=0.6)),
    "a-steady-blue-lamp": (lambda t: (0.5, 0.05, BLUE),),
    "a-blue-lamp-once": (lambda t: (0.5, 0.05, BLUE) if t > 2.0 else None,),
    "a-lamp-too-slow": (flashing(BLUE, 0.25, 0.5),),
}


@pytest.mark.parametrize("lamps", NOT_BEACONS.values(), ids=NOT_BEACONS)
def test_what_is_no_beacon_asks_for_nothing(lamps: tuple[Lamp, ...]) -> None:
    assert states(Road(lamps)) == {"absent"}


def test_a_camera_whose_exposure_swings_asks_for_nothing() -> None:
    swing = Road(gain=lambda t: 1 + 0.2 * np.sin(2 * np.pi * 2.0 * t), paint=(60, 50, 190))
    assert states(swing) == {"absent"}


def test_a_street_lamp_that_is_passed_asks_for_nothing() -> None:
    lamps = tuple(
        (lambda t, place=place: (0.5, 0.05, AMBER) if abs(t - place) < 0.08 else None) for place in (0.8, 1.9, 3.4)
    )
    assert states(Road(lamps)) == {"absent"}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("colour", [RED, BLUE])
def test_a_lamp_that_flashes_adds_light_and_one_that_the_swaying_box_lets_in_less(
    colour: tuple[int, int, int], seed: int
) -> None:
    def seen(lamp: Lamp) -> Flicker:
        history = EMPTY
        for mono_ms, image, track in Road((lamp,), width_px=30, lamp=0.3, growth_per_s=0.0, seconds=3.0).pictures(seed):
            history = remember(history, image, track.box, 1.0, mono_ms)
        found = flicker_of(history)
        assert found is not None
        return found

    flashes, stands = seen(flashing(colour, 2.0, 0.3)), seen(lambda t: (0.3, -0.15, colour))
    assert flashes.added > max(0.95, stands.added)
    assert flashes.outside < stands.outside
    assert flicker_llr(flashes) > 8 > flicker_llr(stands)


def test_what_leaves_the_picture_by_its_lower_edge_asks_for_nothing() -> None:
    """Blue stripes of a flank pass through what is left of the box."""
    state, told = MODEL.initial(), set()
    for number in range(50):
        mono_ms, top = 1000 + 80 * number, 60 + 2 * number
        image = np.full((180, 320, 3), 100, np.uint8)
        for stripe in range(12):
            y = top + 10 * (2 * stripe + number // 2 % 2)
            image[max(0, y) : max(0, y + 10), 100:150] = BLUE
        track = Track(3, "bus", {"bus": 0.8}, (100.0, float(top), 150.0, 180.0), 0, mono_ms, 9, seen_ms=mono_ms)
        state, reading = MODEL.step(state, (track,), image, mono_ms)
        told.add(reading.state)
    assert told == {"absent"}


def test_a_box_that_leaps_to_another_vehicle_begins_anew() -> None:
    image = np.full((90, 120, 3), 90, np.uint8)
    history = EMPTY
    for number in range(10):
        history = remember(history, image, (20.0, 20.0, 60.0, 60.0), 1.0, 80 * number)
    assert len(history.times_ms) == 10
    assert len(remember(history, image, (20.0, 20.0, 60.0, 58.0), 1.0, 800).times_ms) == 11
    assert len(remember(history, image, (20.0, 32.0, 60.0, 60.0), 1.0, 800).times_ms) == 1


def test_below_ten_pictures_a_second_beacons_say_nothing() -> None:
    found = readings(Road(alternating(BLUE, BLUE, 2.0), fps=6.0))
    assert {reading.state for _, reading in found} == {"absent"}
    assert found[-1][1].senses == ("class",)


def test_who_leaves_is_present_and_asks_for_nothing() -> None:
    found = readings(Road(alternating(BLUE, BLUE, 2.0), velocity_mps=(0.0, 7.0)))
    assert found[-1][1].state == "present"
    assert "requested" not in {reading.state for _, reading in found}
    assert found[-1][1].sightings[0].direction == "away"


def test_an_ambulance_without_beacons_is_present() -> None:
    quiet = Road(label="ambulance", scores=(("ambulance", 0.7), ("car", 0.2)), velocity_mps=(0.0, 0.2))
    found = readings(quiet)
    assert found[-1][1].state == "present"
    (sighting,) = found[-1][1].sightings
    assert (sighting.kind, sighting.evidence, sighting.direction) == ("ambulance", ("class",), "standing")
    assert sighting.probability < 0.5
    assert "requested" not in {reading.state for _, reading in found}


def test_amber_lamps_on_a_sure_ambulance_ask_with_a_siren_alone() -> None:
    def told(scores: tuple[tuple[Label, float], ...], siren: bool) -> EmergencyReading:
        state = MODEL.initial()
        for mono_ms, image, track in Road(alternating(AMBER, AMBER, 1.8), label="ambulance", scores=scores).pictures():
            heard = (SirenReading("siren", 6.0), mono_ms) if siren else None
            state, reading = MODEL.step(state, (track,), image, mono_ms, heard=heard)
        return reading

    sure: tuple[tuple[Label, float], ...] = (("ambulance", 0.75),)
    assert told(sure, siren=False).state == "present"
    asks = told(sure, siren=True)
    assert asks.state == "requested"
    assert asks.sightings[0].colours == ("amber",)
    assert told((("fire_engine", 0.9),), siren=True).state == "present"  # known from drawings alone


def test_without_a_detector_absence_is_not_claimed() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    state, reading = MODEL.step(MODEL.initial(), None, image, 1000)
    assert (reading.state, reading.senses) == ("unavailable", ())
    _, reading = MODEL.step(state, (), image, 1100)
    assert (reading.state, reading.senses) == ("absent", ("class",))


def test_a_siren_alone_is_present_after_three_looks_and_lapses() -> None:
    image, state, told = np.zeros((60, 80, 3), np.uint8), MODEL.initial(), []
    for number in range(60):
        now_ms = 1000 + 250 * number
        sounding = "siren" if number < 20 else "other"
        heard = (SirenReading(sounding, 8.0 if sounding == "siren" else -4.0), now_ms // 500 * 500)  # type: ignore[arg-type]
        state, reading = MODEL.step(state, (), image, now_ms, heard=heard)
        told.append(reading.state)
    assert told[:4] == ["absent"] * 4
    assert told[8] == "present"
    assert told[-1] == "absent"
    assert "requested" not in told


def test_a_siren_and_a_named_ambulance_together_ask() -> None:
    road = Road(label="ambulance", scores=(("ambulance", 0.7),), seconds=2.0)
    state = MODEL.initial()
    for mono_ms, image, track in road.pictures():
        state, reading = MODEL.step(state, (track,), image, mono_ms, heard=(SirenReading("siren", 6.0), mono_ms))
    assert reading.state == "requested"
    assert reading.sightings[0].evidence == ("class", "siren")


def test_a_proven_declaration_asks_before_anything_is_seen() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    said = Declared("fire_engine", authenticated=True, beacons=True, mono_ms=900)
    _, reading = MODEL.step(MODEL.initial(), (), image, 1000, declared=said)
    assert reading.state == "requested"
    assert reading.sightings[0].evidence == ("declared",)
    unproven = Declared("fire_engine", authenticated=False, beacons=True, mono_ms=900)
    _, reading = MODEL.step(MODEL.initial(), (), image, 1000, declared=unproven)
    assert reading.state == "absent"


def test_red_lamps_on_what_stands_and_no_class_names_ask_for_nothing() -> None:
    lamps = alternating(RED, RED, 2.0)
    still: tuple[float, float] = (0.0, 0.1)
    assert "requested" not in states(Road(lamps, velocity_mps=still))
    assert "requested" in states(Road(alternating(BLUE, BLUE, 2.0), velocity_mps=still))
    assert "requested" in states(Road(lamps, velocity_mps=still, label="ambulance", scores=(("ambulance", 0.6),)))
    # A class that drawings alone taught names nothing for certain.
    assert "requested" not in states(
        Road(lamps, velocity_mps=still, label="fire_engine", scores=(("fire_engine", 0.6),))
    )


def test_red_lamps_on_what_sways_to_and_fro_ask_for_nothing() -> None:
    """A barrier's box seems to come nearer for half a second, and to go back."""
    state, told = MODEL.initial(), set()
    for mono_ms, image, track in Road(alternating(RED, RED, 2.0)).pictures():
        swaying = (0.0, -3.0 if mono_ms // 500 % 2 else 1.5)
        state, reading = MODEL.step(state, (replace(track, velocity_mps=swaying),), image, mono_ms)
        told.add(reading.state)
    assert told == {"absent"}


def test_what_is_found_only_now_and_then_asks_for_nothing() -> None:
    """Such as a barrier that passes for a car while its lamp is lit."""
    state, told = MODEL.initial(), set()
    for number, (mono_ms, image, track) in enumerate(Road(alternating(RED, BLUE, 2.0)).pictures()):
        state, reading = MODEL.step(state, (replace(track, hits=1 + number // 3),), image, mono_ms)
        told.add(reading.state)
    assert told == {"absent"}


def test_amber_light_on_blue_paint_is_amber() -> None:
    assert states(Road(alternating(AMBER, AMBER, 1.8), paint=(190, 90, 30))) == {"absent"}


def test_a_declaration_is_not_of_every_car_in_view() -> None:
    said, state = Declared("fire_engine", authenticated=True, beacons=True, mono_ms=900), MODEL.initial()
    for mono_ms, image, track in Road(seconds=1.5).pictures():
        state, reading = MODEL.step(state, (track,), image, mono_ms, declared=said)
    (sighting,) = reading.sightings
    assert (reading.state, sighting.kind, sighting.evidence) == ("requested", "fire_engine", ("declared",))
    assert reading.senses == ("class", "beacons", "declared")
    ambulance = Road(label="ambulance", scores=(("ambulance", 0.75),), seconds=1.5)
    for mono_ms, image, track in ambulance.pictures():
        state, reading = MODEL.step(state, (track,), image, mono_ms + 9_000, declared=said)
    assert reading.sightings[0].kind == "ambulance"
    assert reading.sightings[0].evidence == ("class", "declared")


def test_a_request_outlasts_its_track_and_then_lapses() -> None:
    state = MODEL.initial()
    for mono_ms, image, track in Road(alternating(BLUE, BLUE, 2.5)).pictures():
        state, reading = MODEL.step(state, (track,), image, mono_ms)
    assert reading.state == "requested"
    later = []
    for number in range(80):
        state, reading = MODEL.step(state, (), image, mono_ms + 100 * (number + 1))
        later.append(reading.state)
    assert later[20] == "requested"
    assert later[-1] == "absent"
    assert not state.watched


def test_one_vehicle_with_two_boxes_is_told_once() -> None:
    state = MODEL.initial()
    for mono_ms, image, track in Road(alternating(BLUE, BLUE, 2.5)).pictures():
        left, top, right, bottom = track.box
        other = Track(
            8, "car", {"car": 0.5}, (left - 3, top - 2, right + 6, bottom + 5), 0, mono_ms, 1, seen_ms=mono_ms
        )
        state, reading = MODEL.step(state, (track, other), image, mono_ms)
    assert len(reading.sightings) == 1


def test_beacons_are_found_at_the_pace_of_a_fast_camera_too() -> None:
    found = readings(Road(alternating(BLUE, RED, 2.0), fps=30.0))
    assert found[-1][1].state == "requested"
    assert "requested" not in states(Road(fps=30.0))
