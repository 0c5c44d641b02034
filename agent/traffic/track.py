"""What the tracker says: one vehicle or person, followed through the pictures of one camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.vision.detector import Label

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Track:
    """One thing, as it stands at last_ms. Nothing of it leaves the device but what is counted from it.

    id: unique within one tracker's life; it means nothing to another camera.
    label: the class of the highest mean score. scores: each class's mean over the pictures that showed the track, 0..1;
    a class that was never named is left out.
    box: left, top, right, bottom in pixels, within the picture. Where the last picture showed nothing of it, or the
    detector skipped that picture, it is predicted, and seen_ms lies before last_ms.
    first_ms, last_ms, seen_ms: monotonic. hits: pictures in which the detector found it.
    ground: the middle of its near end on the road (the front, when it approaches), metres in the calibration's frame: x
    from the left edge, y from the near edge, beyond the rectangle too. velocity_mps: of that point, by the same axes.
    Both None while they are not known.
    """

    id: int
    label: Label
    scores: Mapping[Label, float]
    box: Box
    first_ms: int
    last_ms: int
    hits: int
    ground: tuple[float, float] | None = None
    velocity_mps: tuple[float, float] | None = None
    seen_ms: int = 0
