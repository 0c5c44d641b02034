"""The pictures that the detector learns from, and which of them are kept for judging it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.detector.targets import Targets, hard
from models.vision.detector import LABELS, Label

Image = NDArray[Any]
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Source:
    """A folder of pictures. names: what its class ids mean; None where it has no labels. labelled: the classes whose
    every example is labelled, so that an unlabelled one is not there."""

    name: str
    folder: Path
    names: tuple[Label, ...] | None
    share: float

    @property
    def complete(self) -> bool:
        return self.names == LABELS


@dataclass(frozen=True)
class Picture:
    source: Source
    path: Path

    @property
    def key(self) -> str:
        """The photograph behind the file: crops and copies that a set made of one photograph share it."""
        return self.path.stem.split("_jpg")[0]

    @property
    def held_out(self) -> bool:
        """For judging only: a fifth of all photographs, by the hash of their key, for ever the same."""
        return int(sha256(self.key.encode()).hexdigest()[:8], 16) / 0x100000000 < HELD_OUT_SHARE

    def load(self) -> Image:
        """ValueError names a file that is no picture."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{self.path} is not a picture")
        return image

    def labels(self, image: Image) -> Targets:
        """What the set itself says."""
        path = self.path.parent.parent / "labels" / f"{self.path.stem}.txt"
        if self.source.names is None or not path.exists():
            return hard(np.zeros((0, 4), np.float32), ())
        return read_yolo(path, self.source.names, image.shape[1], image.shape[0])


def read_yolo(path: Path, names: Sequence[Label], width: int, height: int) -> Targets:
    """A YOLO label file: class id, middle x and y, width and height as shares of the picture. ValueError otherwise."""
    boxes, labels = [], []
    for line in path.read_text().splitlines():
        fields = line.split()
        if not fields:
            continue
        try:
            number, x, y, w, h = int(fields[0]), *map(float, fields[1:])
            labels.append(names[number])
        except (ValueError, IndexError) as error:
            raise ValueError(f"{path}: {line!r} is no label of {len(names)} classes") from error
        boxes.append(((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height))
    array = np.clip(np.array(boxes, np.float32).reshape(-1, 4), 0, [width, height, width, height])
    return hard(array.astype(np.float32), labels)


def sources(data: Path, work: Path) -> tuple[Source, ...]:
    """data: the folder of shared data. work: where rendered pictures and the clip's frames were put. share: how often a
    picture is drawn from each."""
    emergency = data / "emergency"
    return (
        Source("openimages", emergency / "openimages" / "images", ("ambulance", "car"), 0.43),
        Source(
            "vehicles240",
            emergency / "vehicles240" / "images",
            ("ambulance", "car", "bus", "truck", "motorcycle"),
            0.16,
        ),
        Source("rendered", work / "rendered" / "images", LABELS, 0.36),
        Source("car-park", work / "car-park" / "images", None, 0.05),
    )


def pictures(source: Source) -> Iterator[Picture]:
    for path in sorted(source.folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            yield Picture(source, path)


def unpack_clip(clip: Path, folder: Path, every: int = 8) -> None:
    """Every eighth frame of a clip as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    film = cv2.VideoCapture(str(clip))
    number = 0
    while True:
        there, frame = film.read()
        if not there:
            break
        if number % every == 0:
            cv2.imwrite(str(folder / f"{clip.stem}-{number:05d}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, 92])
        number += 1
    film.release()
