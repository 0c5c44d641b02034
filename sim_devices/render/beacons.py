"""Lamps that flash: beacons in their colours and rhythms, indicators, and what flashes beside a road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Colour = Literal["blue", "red", "amber"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
Pattern = Literal["alternating", "together", "rotating", "double-flash"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

# Blue, green, red: of the lamp itself when lit and dark, and of the light that it spills.
LIT: dict[Colour, tuple[float, float, float]] = {
    "blue": (255.0, 170.0, 70.0), "red": (70.0, 60.0, 255.0), "amber": (60.0, 176.0, 255.0),
}  # fmt: skip
DARK: dict[Colour, tuple[float, float, float]] = {
    "blue": (140.0, 60.0, 24.0), "red": (34.0, 28.0, 120.0), "amber": (24.0, 84.0, 140.0),
}  # fmt: skip
SPILLED: dict[Colour, tuple[float, float, float]] = {
    "blue": (255.0, 105.0, 25.0), "red": (30.0, 20.0, 255.0), "amber": (10.0, 140.0, 255.0),
}  # fmt: skip
INDICATOR_HZ = (1.0, 2.0)


@dataclass(frozen=True)
class Lights:
    """colours: of the left and the right beacon. rate_hz: flashes of one lamp a second, None for the vehicle's own
    (beacon_hz). phase: 0..1. strength: of the light that spills, 1 at night or for the brightest lamps by day.
    works: amber beacons on a vehicle that is no emergency vehicle. indicator: amber, low at the corners. tail_hz: tail
    lamps that seem to flicker, as pulsed diodes do to a camera; 0 for none."""

    colours: tuple[Colour, Colour] = ("blue", "blue")
    pattern: Pattern = "alternating"
    rate_hz: float | None = None
    phase: float = 0.0
    strength: float = 1.0
    works: bool = False
    indicator: Literal["off", "left", "right", "both"] = "off"
    indicator_hz: float = 1.5
    tail_hz: float = 0.0


NO_LIGHTS = Lights()


@dataclass(frozen=True)
class RoadsideLamp:
    """A lamp that stands beside or on the road, on a barrier of its own or in a shop's window: x_m, y_m, up_m in the
    road frame. board: an orange and white board hangs below it."""

    x_m: float
    y_m: float
    up_m: float = 1.1
    colour: Colour = "amber"
    rate_hz: float = 1.0
    phase: float = 0.0
    radius_m: float = 0.16
    board: bool = True

    def lit(self, t_s: float) -> bool:
        return (t_s * self.rate_hz + self.phase) % 1.0 < 0.4


def levels(lights: Lights, rate_hz: float, t_s: float) -> tuple[float, float]:
    """How bright the left and the right beacon are, 0..1.

    alternating: one or the other. together: both, half of the time. rotating: a mirror turns, and its beam sweeps past
    the camera. double-flash: two short flashes left, then two right."""
    at = (t_s * rate_hz + lights.phase) % 1.0
    if lights.pattern == "alternating":
        return (1.0, 0.0) if at < 0.5 else (0.0, 1.0)
    if lights.pattern == "together":
        return (1.0, 1.0) if at < 0.5 else (0.0, 0.0)
    if lights.pattern == "rotating":
        return _swept(at), _swept((at + 0.5) % 1.0)
    return _twice(at), _twice((at + 0.5) % 1.0)


def _swept(at: float) -> float:
    return max(0.0, 1.0 - abs(at - 0.5) / 0.22)


def _twice(at: float) -> float:
    return 1.0 if at < 0.14 or 0.22 <= at < 0.36 else 0.0


def blinks(rate_hz: float, t_s: float, phase: float = 0.0) -> bool:
    return (t_s * rate_hz + phase) % 1.0 < 0.5
