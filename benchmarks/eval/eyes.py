"""What finds vehicles in a rendered window: a detector, or a stand-in that is named as one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.eval.emergency import Eyes, Finder
from models.vision.detector import Detection, Label
from models.vision.opening import SHIPPED, open_detector
from sim_devices.render.scene import Rendered

LABEL_OF: dict[str, Label] = {
    "car": "car", "van": "car", "bus": "bus", "truck": "truck", "motorcycle": "motorcycle", "bicycle": "bicycle",
    "ambulance": "ambulance", "fire-engine": "fire_engine", "police": "police_car", "person": "person",
}  # fmt: skip
# Heights in pixels at which the stand-in finds nothing, and surely all.
_UNSEEN_PX, _SEEN_PX = 9.0, 20.0
JITTER, SWAY = 0.025, 0.03


def detector_eyes(path: Path | None) -> Eyes:
    """A detector by its file; None: the shipped one. Raises what open_detector raises."""
    detector = open_detector(path)
    used = SHIPPED if path is None else path
    name = f"{used.name} {hashlib.sha256(used.read_bytes()).hexdigest()[:12]}"

    def find(seed: int) -> Finder:
        del seed
        return lambda rendered: detector.detect(rendered.frame)

    return Eyes(name, find, dict(detector.thresholds), detector.synthetic_only)


def stand_in_eyes() -> Eyes:
    """The renderer's own boxes in a detector's place: with jitter and sway, small ones missed, and of the emergency
    vehicles only the ambulance known by more than drawings, as the data that may train a detector has it."""

    def find(seed: int) -> Finder:
        random = np.random.default_rng((seed, 0x57))
        sway: dict[str, np.ndarray] = {}

        def look(rendered: Rendered) -> tuple[Detection, ...]:
            found = []
            height_px, width_px = rendered.frame.shape[:2]
            for one in rendered.truth.boxes:
                box = np.array(one.box, float)
                size = np.array([box[2] - box[0], box[3] - box[1]] * 2)
                sway[one.id] = 0.8 * sway.get(one.id, np.zeros(4)) + 0.6 * SWAY * random.normal(size=4)
                chance = min(0.95, (float(size[1]) - _UNSEEN_PX) / (_SEEN_PX - _UNSEEN_PX))
                shown = one.visible_px / max(1.0, float(size[0] * size[1])) > 0.25
                jitter = JITTER * random.normal(size=4)
                if random.uniform() > chance or not shown:
                    continue
                seen = box + size * (sway[one.id] + jitter)
                left, top = max(0.0, float(seen[0])), max(0.0, float(seen[1]))
                right, bottom = min(float(width_px), float(seen[2])), min(float(height_px), float(seen[3]))
                if right - left > 3 and bottom - top > 3:
                    label = LABEL_OF.get(one.kind, "other_vehicle")
                    found.append(Detection(label, float(random.uniform(0.4, 0.8)), (left, top, right, bottom)))
            return tuple(sorted(found, key=lambda d: -d.score))

        return look

    thresholds: dict[Label, float] = dict.fromkeys((*LABEL_OF.values(), "other_vehicle"), 0.4)
    return Eyes("stand-in: the renderer's boxes", find, thresholds, frozenset({"police_car", "fire_engine"}))
