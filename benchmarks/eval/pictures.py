"""A folder of pictures and a folder of their labels in YOLO's form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.errors import LabelsUnreadable, PictureUnreadable
from models.vision.picture_file import SUFFIXES, decoded
from models.vision.yolo_labels import LineWrong, Thing, things


@dataclass(frozen=True)
class Labelled:
    """things: None where there is no file of labels."""

    picture: Path
    things: tuple[Thing, ...] | None


def labelled(images: Path, labels: Path, classes: int) -> list[Labelled]:
    """Every picture below `images`, in the order of their names, with the labels of the same name below `labels`.

    Raises LabelsUnreadable (KF102) for a wrong line, before any picture is read.
    """
    found = sorted(one for one in images.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
    return [Labelled(one, _things(labels / one.relative_to(images).with_suffix(".txt"), classes)) for one in found]


def picture(path: Path) -> NDArray[Any]:
    """BGR uint8, height x width x 3, turned as its camera was held; grey becomes grey of three channels, transparency
    is left out. Raises PictureUnreadable (KF103), also for one that ends early."""
    try:
        held = path.read_bytes()
    except OSError as error:
        raise PictureUnreadable(path=path, detail=error.strerror) from error
    try:
        return decoded(held)
    except ValueError as error:
        raise PictureUnreadable(path=path, detail=error) from error


def _things(path: Path, classes: int) -> tuple[Thing, ...] | None:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsUnreadable(path=path, line=1, detail=f"it is no text ({error})") from error
    try:
        return things(text, classes)
    except LineWrong as error:
        raise LabelsUnreadable(path=path, line=error.line, detail=error) from error
