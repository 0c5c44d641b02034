"""Cut-outs of vehicles that are rare, pasted into other pictures (Dwibedi et al. 2017, arXiv 1708.01642).

Ordinary cars, buses and trucks are pasted in the same way, so that a seam is no sign of an emergency vehicle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.training.detector.data import Image, Picture
from models.training.detector.targets import Targets, hard, joined, overlaps
from models.vision.detector import LABELS, Label

LEAST_CUT_PX = 56
# Of 23 crops of police cars, those which show a strip of one, its inside, or a car without any mark of the police.
NOT_SHOWN = frozenset({
    "wm_GAC_Trumpchi_M8_police_car_car0", "wm_Grand_Ducal_Police_car_Ford_in_Luxembourg_City_car0",
    "wm_NYS_police_car_car0", "wm_Colorado_Springs_Police_Department_Squad_Car_Old_Colorado_City_54557170163_car1",
})  # fmt: skip
HEIGHT_PX = (14.0, 330.0)
HIDDEN = 0.6
# How often each label is pasted: a car for each police car, or every large car would soon be one.
SHARES: dict[Label, float] = {"police_car": 0.34, "ambulance": 0.14, "car": 0.34, "bus": 0.06, "truck": 0.12}


@dataclass(frozen=True)
class CutOut:
    """image: the box and nothing round it. mask: 0..255, what of it is vehicle."""

    label: Label
    image: Image
    mask: Image


def outline(image: Image) -> Image:
    """What of a tight crop is the vehicle: GrabCut (Rother et al. 2004) from its edges; all of it if that fails."""
    height, width = image.shape[:2]
    scale = min(1.0, 160 / max(height, width))
    small = cv2.resize(
        image, (max(8, round(width * scale)), max(8, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    mask = np.full(small.shape[:2], cv2.GC_PR_FGD, np.uint8)
    edge_y, edge_x = max(1, small.shape[0] // 14), max(1, small.shape[1] // 18)
    for corner in (np.s_[:edge_y], np.s_[-1:], np.s_[:, :edge_x], np.s_[:, -edge_x:]):
        mask[corner] = cv2.GC_PR_BGD
    for rows in (np.s_[: 2 * edge_y], np.s_[-edge_y:]):
        for columns in (np.s_[: 2 * edge_x], np.s_[-2 * edge_x :]):
            mask[rows, columns] = cv2.GC_BGD
    cv2.setRNGSeed(1)
    try:
        cv2.grabCut(small, mask, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return np.full((height, width), 255, np.uint8)
    found: Image = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if not 0.4 < (found > 0).mean() < 0.97:
        return np.full((height, width), 255, np.uint8)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)


def police_cut_outs(folder: Path) -> list[CutOut]:
    cuts = []
    for path in sorted(folder.glob("*.jpg")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None or path.stem in NOT_SHOWN:
            continue
        image = _at_most(without_bars(image), 480)
        cuts.append(CutOut("police_car", image, outline(image)))
    return cuts


def cut_outs(pictures: Iterable[Picture], wanted: dict[Label, int]) -> list[CutOut]:
    """At most so many of each label, from labelled boxes that nothing overlaps and no edge cuts."""
    left = dict(wanted)
    cuts = []
    for picture in pictures:
        image = picture.load()
        targets = picture.labels(image)
        if not len(targets):
            continue
        iou = overlaps(targets.boxes, targets.boxes)[0] - np.eye(len(targets))
        for box, classes, other in zip(targets.boxes, targets.classes, iou.max(1), strict=True):
            label = LABELS[int(classes.argmax())]
            x0, y0, x1, y1 = (round(float(one)) for one in box)
            cut = x0 <= 1 or y0 <= 1 or x1 >= image.shape[1] - 1 or y1 >= image.shape[0] - 1
            if left.get(label, 0) <= 0 or other > 0.05 or cut or min(x1 - x0, y1 - y0) < LEAST_CUT_PX:
                continue
            left[label] -= 1
            crop = _at_most(image[y0:y1, x0:x1].copy(), 360)
            cuts.append(CutOut(label, crop, outline(crop)))
    return cuts


def without_bars(image: Image) -> Image:
    """Without the black bars that make a crop square."""
    light = image.max(axis=2) > 24
    rows, columns = np.flatnonzero(light.mean(axis=1) > 0.05), np.flatnonzero(light.mean(axis=0) > 0.05)
    if not len(rows) or not len(columns):
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _at_most(image: Image, side: int) -> Image:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def paste(image: Image, targets: Targets, cut: CutOut, box: tuple[int, int, int, int]) -> tuple[Image, Targets]:
    """`cut` scaled into `box` (left, top, right, bottom, within the picture). What it hides for the most part is no
    longer an object."""
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    way = cv2.INTER_AREA if size[1] < cut.image.shape[0] else cv2.INTER_LINEAR
    body: Image = cv2.resize(cut.image, size, interpolation=way).astype(np.float32)
    mask: Image = cv2.resize(cut.mask, size, interpolation=way).astype(np.float32) / 255
    mask = cv2.GaussianBlur(mask, (3, 3), 0)[..., None]
    result = image.copy()
    under = result[top:bottom, left:right].astype(np.float32)
    result[top:bottom, left:right] = np.clip(body * mask + under * (1 - mask), 0, 255).astype(np.uint8)
    new = hard(np.array([box], np.float32), (cut.label,))
    if len(targets):
        hidden = overlaps(targets.boxes, new.boxes)[1][:, 0]
        targets = targets.keep(hidden < 0.9).soften((hidden >= HIDDEN)[hidden < 0.9])
    return result, joined([targets, new])


def paste_some(
    image: Image, targets: Targets, cuts: Sequence[CutOut], random: np.random.Generator
) -> tuple[Image, Targets]:
    """One to three cut-outs at random places and sizes, small ones as often as large ones, larger where lower."""
    side_y, side_x = image.shape[:2]
    labels = [label for label in SHARES if any(cut.label == label for cut in cuts)]
    if not labels:
        return image, targets
    shares = np.array([SHARES[label] for label in labels])
    for _ in range(int(random.integers(1, 4))):
        label = labels[random.choice(len(labels), p=shares / shares.sum())]
        own = [cut for cut in cuts if cut.label == label]
        cut = own[int(random.integers(len(own)))]
        if random.random() < 0.5:
            cut = CutOut(cut.label, cut.image[:, ::-1], cut.mask[:, ::-1])
        height = float(np.exp(random.uniform(*np.log(HEIGHT_PX))))
        aspect = cut.image.shape[1] / cut.image.shape[0] * float(np.exp(random.uniform(-0.1, 0.1)))
        height = min(height, side_y * 0.98, side_x * 0.98 / aspect)
        w, h = max(6, round(height * aspect)), max(6, round(height))
        left = int(random.integers(0, side_x - w + 1))
        top = int(random.integers(0, side_y - h + 1))
        light = random.uniform(0.7, 1.25)
        lit = CutOut(cut.label, np.clip(cut.image * light, 0, 255).astype(np.uint8), cut.mask)
        image, targets = paste(image, targets, lit, (left, top, left + w, top + h))
    return image, targets
