"""Pictures with labels in YOLO's form, for detectors of the layout yolox.

    FOLDER/images/a.jpg, FOLDER/labels/a.txt    or    FOLDER/a.jpg, FOLDER/a.txt
    FOLDER/classes.txt (a name a line)          or    FOLDER/data.yaml (its `names`)

An empty file of labels says that nothing is there; a picture without a file is not learnt from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import DataUnusable
from models.tuning.data.assignment import assigned
from models.tuning.data.examples import Examples
from models.tuning.data.folders import MOST_LEFT_OUT
from models.tuning.graph import Array
from models.tuning.judging import AveragePrecision, Truths
from models.tuning.losses import LABELS
from models.vision.grid import cells
from models.vision.layouts.yolox import STRIDES
from models.vision.letterbox import Letterbox
from models.vision.names import label_of
from models.vision.picture_file import SUFFIXES, decoded
from models.vision.yolo_labels import LineWrong, Thing, things

CLASSES, YAML = "classes.txt", "data.yaml"


@dataclass(frozen=True)
class Network:
    """What the data is for. size: width and height of its input. labels: of its classes, in their order. decoded: its
    boxes are in pixels (models.vision.layouts.yolox)."""

    input_name: str
    size: tuple[int, int]
    labels: tuple[str, ...]
    decoded: bool


def yolo(folder: Path, network: Network, names: Sequence[str] = ()) -> tuple[Examples, tuple[int, ...]]:
    """The examples, and the numbers of the network's classes that the data labels. names: of the data's classes, where
    no file in the folder gives them.

    Every file is read once here. Raises DataUnusable (KF371) where nothing names the classes, where none is one that
    the network tells apart, for a class without a name, for no boxes at all, and for too much that can't be read."""
    if not folder.is_dir():
        raise DataUnusable(path=folder, detail="it is no folder")
    named = tuple(names) or names_in(folder)
    places = tuple(_place(name, network.labels) for name in named)
    labelled = tuple(sorted({one for one in places if one >= 0}))
    if not labelled:
        detail = f"none of its classes ({', '.join(named)}) is one of the network's ({', '.join(network.labels)})"
        raise DataUnusable(path=folder, detail=detail)
    pictures, left_out = _read(folder, len(named))
    if not any(places[thing.number] >= 0 for _, found in pictures for thing in found):
        raise DataUnusable(path=folder, detail="no picture in it has a box of a class that the network tells apart")
    grid, letterbox = cells(*network.size, STRIDES), Letterbox(*network.size)

    def truths(number: int, placed: Any = None) -> Truths:
        path, found = pictures[number]
        if placed is None:
            _, placed = letterbox.place(decoded(path.read_bytes()))
        scale = np.array([placed.scale_x, placed.scale_y] * 2)
        boxes = np.array([thing.box(placed.width, placed.height) for thing in found], float).reshape(-1, 4) * scale
        return boxes, np.array([places[thing.number] for thing in found], np.intp)

    def load(number: int) -> dict[str, Array]:
        blob, placed = letterbox.place(decoded(pictures[number][0].read_bytes()))
        boxes, classes = truths(number, placed)
        wanted = assigned(boxes.astype(np.float32), classes, grid, len(network.labels))
        return {network.input_name: blob[0].copy(), LABELS: wanted}

    examples = Examples(
        tuple(str(path.relative_to(folder)) for path, _ in pictures),
        load,
        network.labels,
        left_out=left_out,
        filling=0.0,
        scorer=lambda: AveragePrecision(truths, grid, network.decoded, labelled),
    )
    return examples, labelled


def _read(folder: Path, classes: int) -> tuple[list[tuple[Path, tuple[Thing, ...]]], tuple[str, ...]]:
    pictures: list[tuple[Path, tuple[Thing, ...]]] = []
    damaged: list[str] = []
    unlabelled = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        beside = labels_of(path.relative_to(folder))
        try:
            text = (folder / beside).read_text("utf-8-sig")
            decoded(path.read_bytes())
            pictures.append((path, things(text, classes)))
        except FileNotFoundError:
            unlabelled += 1
        except LineWrong as error:
            if error.is_class:
                # The names are those of another set: every label may mean something else.
                raise DataUnusable(path=folder / beside, detail=f"in line {error.line} {error}") from error
            damaged.append(f"{beside}, line {error.line}: {error}")
        except (OSError, ValueError) as error:
            damaged.append(f"{path.relative_to(folder)}: {error}")
    if not pictures and not damaged:
        detail = f"it holds no pictures with labels ({unlabelled} without a file of labels)"
        raise DataUnusable(path=folder, detail=detail)
    if len(damaged) > MOST_LEFT_OUT * (len(pictures) + len(damaged)):
        raise DataUnusable(path=folder, detail=f"{len(damaged)} pictures can't be used, the first: {damaged[0]}")
    if unlabelled:
        damaged.append(f"{unlabelled} pictures without a file of labels")
    return pictures, tuple(damaged)


def labels_of(picture: Path) -> Path:
    """Where a picture's labels are, both within the folder: the last folder called images becomes labels."""
    parts = list(picture.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def names_in(folder: Path) -> tuple[str, ...]:
    """From classes.txt or data.yaml. Raises DataUnusable (KF371)."""
    for path in (folder / CLASSES, folder / "labels" / CLASSES, folder / YAML):
        try:
            text = path.read_text("utf-8-sig")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise DataUnusable(path=path, detail=str(error)) from error
        names = _from_yaml(text) if path.name == YAML else [one.strip() for one in text.splitlines() if one.strip()]
        if not names:
            raise DataUnusable(path=path, detail="it names no classes")
        return tuple(names)
    raise DataUnusable(path=folder, detail=f"neither {CLASSES} nor {YAML} names its classes, nor does --names")


def _from_yaml(text: str) -> list[str]:
    """`names` as such files have it: [a, b], {0: a, 1: b}, or one a line below, `- a` or `0: a`; else nothing."""
    found = re.search(r"^names\s*:[ \t]*(.*(?:\n[ \t-].*|\n[ \t]*(?=\n))*)", text, re.MULTILINE)
    if found is None:
        return []
    body = re.sub(r"(^|\s)#.*", "", found.group(1)).strip()
    lines = body.strip("[]{}").replace("\n", ",").split(",") if body[:1] in ("[", "{") else body.splitlines()
    numbered: dict[int, str] = {}
    for line in lines:
        one = line.strip().removeprefix("-").strip()
        if not one:
            continue
        key = re.match(r"(\d+)\s*:\s*(.*)", one)
        place, name = (int(key.group(1)), key.group(2)) if key else (len(numbered), one)
        numbered[place] = name.strip().strip("'\"")
    return [numbered[place] for place in sorted(numbered)] if sorted(numbered) == list(range(len(numbered))) else []


def _place(name: str, labels: Sequence[str]) -> int:
    """Of the network's classes the one of that name, or the first that means the same; -1 for none."""
    if name in labels:
        return labels.index(name)
    meant = label_of(name)
    return next((place for place, one in enumerate(labels) if meant is not None and label_of(one) == meant), -1)
