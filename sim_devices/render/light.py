"""Where light comes from: the sun, street lamps and the air between."""

from __future__ import annotations

import numpy as np

from sim_devices.render.arrays import Array
from sim_devices.render.weather import Weather

LAMP_SPACING_M = 28.0
LAMP_FIRST_M = 9.0
LAMP_X_M = -0.9
LAMP_HEIGHT_M = 7.5
LAMP_STRENGTH = 0.72


def sun(weather: Weather) -> Array:
    """Unit vector towards the sun, in the road frame."""
    direction = np.array(weather.sun_from)
    towards: Array = direction / np.linalg.norm(direction)
    return towards


def airlight(weather: Weather) -> Array:
    """Colour (blue, green, red) of thick fog."""
    tint = np.array([1.0, 0.99, 0.97]) if not weather.night else np.array([0.95, 0.97, 1.05])
    return weather.airlight * tint


def transmission(weather: Weather, depth_m: Array) -> Array:
    """t = exp(-beta d): the share of a surface's light that reaches the camera through the air."""
    through: Array = np.exp(-weather.fog_per_m * depth_m)
    return through


def street_light(x_m: Array, y_m: Array) -> Array:
    """Light of the street lamps on the ground: 1 beneath one, less between and far to the side."""
    nearest = (y_m - LAMP_FIRST_M + LAMP_SPACING_M / 2) % LAMP_SPACING_M - LAMP_SPACING_M / 2
    across = x_m - LAMP_X_M - 2.0
    return LAMP_HEIGHT_M**3 / (LAMP_HEIGHT_M**2 + nearest**2 + 0.5 * across**2) ** 1.5


def shade(weather: Weather, normals: Array, x_m: Array, y_m: Array) -> Array:
    """How bright surfaces with these normals (n, 3) are, as a factor on their colour."""
    level = weather.ambient * (0.72 + 0.28 * normals[:, 2])
    if weather.sun:
        level = level + weather.sun * np.maximum(0.0, normals @ sun(weather))
    if weather.night:
        level = level + LAMP_STRENGTH * street_light(x_m, y_m) * (0.55 + 0.45 * normals[:, 2])
    return level
