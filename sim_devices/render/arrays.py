"""Names for arrays: their shapes and units stand where they are used."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
"""Figures of float32 or float64."""

Image = NDArray[Any]
"""A picture: (height, width, 3) uint8, blue, green, red."""
