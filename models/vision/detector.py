"""The port of a detector: a picture in, boxes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from numpy.typing import NDArray

Label = Literal[
    "car",
    "bus",
    "truck",
    "motorcycle",
    "bicycle",
    "person",
    "ambulance",
    "police_car",
    "fire_engine",
    "other_vehicle",
]
LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True)
class Detection:
    """One thing found. box: left, top, right, bottom in pixels of the picture, right and bottom exclusive, within it.
    score: 0..1."""

    label: Label
    score: float
    box: tuple[float, float, float, float]


class Detector(Protocol):
    """Used by one thread at a time. The same picture gives the same answer."""

    @property
    def name(self) -> str:
        """Of the network, for people."""

    @property
    def labels(self) -> frozenset[Label]:
        """What it can find: a feature that needs more refuses it by name."""

    @property
    def thresholds(self) -> Mapping[Label, float]:
        """For each of its labels, the score from which it counts as found in service; detect() may give less."""

    @property
    def synthetic_only(self) -> frozenset[Label]:
        """Labels that it learned from drawn pictures alone: they are told, and cause nothing by themselves."""

    def detect(self, image: NDArray[Any]) -> tuple[Detection, ...]:
        """What it finds in a BGR uint8 picture, height x width x 3 of any size, the surest first."""
