"""Light and air."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Weather:
    """fog_per_m: extinction beta in t = exp(-beta d); visibility is 3.9 / beta (Koschmieder). rain, snow: 0 none, 1
    heavy. ambient and sun: light on a surface that faces it, 1 is full. airlight: grey level of the fog. noise:
    standard deviation of the sensor in grey levels. shake_px: standard deviation of the picture's wander in wind.
    sun_from: towards the sun in the road frame, of any length; by default behind the camera's right shoulder, 40
    degrees high."""

    name: str
    ambient: float
    sun: float
    fog_per_m: float = 0.0008
    airlight: float = 205.0
    rain: float = 0.0
    snow: float = 0.0
    night: bool = False
    noise: float = 2.0
    shake_px: float = 0.25
    sun_from: tuple[float, float, float] = (0.62, -0.48, 0.62)

    @property
    def lamps(self) -> bool:
        """Whether drivers have their headlamps on."""
        return self.night or self.rain > 0.2 or self.snow > 0.2 or self.fog_per_m > 0.01

    def shaken(self, shake_px: float) -> Weather:
        return replace(self, shake_px=shake_px)


DAY = Weather("day", ambient=0.60, sun=0.72)
OVERCAST = Weather("overcast", ambient=0.88, sun=0.0, airlight=198.0)
FOG = Weather("fog", ambient=0.86, sun=0.0, fog_per_m=0.030, airlight=188.0)
RAIN = Weather("rain", ambient=0.62, sun=0.0, fog_per_m=0.008, airlight=150.0, rain=0.8, noise=3.0, shake_px=0.5)
SNOW = Weather("snow", ambient=0.92, sun=0.0, fog_per_m=0.012, airlight=200.0, snow=0.8, noise=2.5, shake_px=0.4)
NIGHT = Weather("night", ambient=0.13, sun=0.0, fog_per_m=0.001, airlight=16.0, night=True, noise=4.5)

WEATHERS = {one.name: one for one in (DAY, OVERCAST, FOG, RAIN, NIGHT, SNOW)}
