"""A detector that is simulated: the renderer's truth, made worse by a stated error model.

It stands in for a real detector while the fusion is developed, and shows what the fusion would gain from one that errs
just so. Its figures are never a real detector's.

- recall grows with the visible height: half at HALF_FOUND_PX, towards MOST_FOUND; in fog, rain and by night a part of
  it is lost. Half of a miss's luck belongs to the vehicle and lasts for seconds, half to the frame.
- a box's edges are off by JITTER of its size (standard deviation).
- one vehicle in CONFUSED is taken for another class for ever; vans are cars or lorries.
- FALSE_PER_FRAME boxes are of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.vision.detector import LABELS, Detection, Label
from sim_devices.render.draw import Condition
from sim_devices.render.truth import Truth, VehicleBox
from sim_devices.render.vehicle import Kind

HALF_FOUND_PX, STEEPNESS_PX, MOST_FOUND = 11.0, 3.0, 0.97
FOUND_IN: dict[Condition, float] = {"day": 1.0, "fog": 0.85, "night": 0.88, "rain": 0.92}
JITTER = 0.05
CONFUSED = 12
FALSE_PER_FRAME = 0.1
_LASTS_S = 4.0

_LABELS: dict[Kind, Label] = {
    "car": "car", "van": "car", "bus": "bus", "truck": "truck", "motorcycle": "motorcycle", "bicycle": "bicycle",
    "ambulance": "ambulance", "fire-engine": "fire_engine", "police": "police_car",
}  # fmt: skip
_TAKEN_FOR: dict[Label, Label] = {"car": "truck", "bus": "truck", "truck": "bus", "motorcycle": "bicycle"}


class SimulatedDetector:
    """Give it the truth of a frame, then ask. The same frame gives the same answer."""

    def __init__(self, condition: Condition, seed: int) -> None:
        self.truth: Truth | None = None
        self.labels: frozenset[Label] = frozenset(LABELS)
        self.thresholds: Mapping[Label, float] = dict.fromkeys(LABELS, 0.3)
        self.synthetic_only: frozenset[Label] = frozenset()
        self._condition, self._seed = condition, seed

    def detect(self, image: NDArray[Any]) -> tuple[Detection, ...]:
        if self.truth is None:
            return ()
        picture = (image.shape[1], image.shape[0])
        random = np.random.default_rng((self._seed, round(self.truth.t_s * 1000), 0xDE7))
        every = [_seen(box, self.truth.t_s, self._condition, picture, random) for box in self.truth.boxes]
        found = [one for one in every if one is not None]
        if random.random() < FALSE_PER_FRAME:
            w, h = random.uniform(10, 60, 2)
            x, y = random.uniform(0, picture[0] - w), random.uniform(0, picture[1] - h)
            found.append(Detection("car", float(random.uniform(0.3, 0.6)), (x, y, x + w, y + h)))
        return tuple(sorted(found, key=lambda one: -one.score))


def _seen(
    box: VehicleBox, t_s: float, condition: Condition, picture: tuple[int, int], random: np.random.Generator
) -> Detection | None:
    left, top, right, bottom = box.box
    size = min(bottom - top, 1.3 * (right - left))
    recall = FOUND_IN[condition] * MOST_FOUND / (1 + np.exp(-(size - HALF_FOUND_PX) / STEEPNESS_PX))
    lasting = crc32(f"{box.id}/{int(t_s / _LASTS_S)}".encode()) / 0xFFFFFFFF
    if (lasting if random.random() < 0.5 else random.random()) > recall:
        return None
    label = _LABELS.get(box.kind, "other_vehicle")
    if crc32(f"{box.id}/class".encode()) % CONFUSED == 0 or (box.kind == "van" and crc32(box.id.encode()) % 3 == 0):
        label = _TAKEN_FOR.get(label, label)
    jitter = random.normal(0, JITTER, 4) * np.array([right - left, bottom - top] * 2)
    low = np.clip(np.array([left, top]) + jitter[:2], 0, np.array(picture) - 2)
    high = np.clip(np.array([right, bottom]) + jitter[2:], low + 2, picture)
    score = float(np.clip(0.35 + 0.6 * recall + random.normal(0, 0.05), 0.3, 0.99))
    return Detection(label, score, (*map(float, low), *map(float, high)))  # type: ignore[arg-type]
