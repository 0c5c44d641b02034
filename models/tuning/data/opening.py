"""Which kind of data a path is, for the input of a network."""

from __future__ import annotations

from pathlib import Path

from models.errors import DataUnusable
from models.tuning.data.examples import Examples
from models.tuning.data.folders import labelled
from models.tuning.data.pictures import ENDINGS as PICTURES
from models.tuning.data.pictures import Pixels, read_picture
from models.tuning.data.sounds import ENDINGS as SOUNDS
from models.tuning.data.sounds import read_sound
from models.tuning.data.texts import texts
from models.tuning.graph import Shape


def open_examples(
    path: Path, input_: tuple[str, Shape], loss: str, vocabulary: int = 0, pixels: Pixels = "unit"
) -> Examples:
    """input_: name and shape of the network's input, the batch first. vocabulary: of a language model."""
    name, (_, *shape) = input_
    if loss == "language":
        if len(shape) != 1:
            raise DataUnusable(path=path, detail=f"the input {name!r} is no row of tokens")
        return texts(path, name, shape[0], vocabulary)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataUnusable(path=path, detail=f"the input {name!r} is neither a picture nor a spectrogram")
    form = (shape[0], shape[1], shape[2])
    if path.is_dir() and any(one.suffix.lower() in SOUNDS for one in path.rglob("*")):
        if shape[0] != 1:
            raise DataUnusable(path=path, detail=f"it holds sounds, and the input {name!r} has {shape[0]} channels")
        return labelled(path, SOUNDS, lambda one: read_sound(one, form), name)
    return labelled(path, PICTURES, lambda one: read_picture(one, form, pixels), name)
