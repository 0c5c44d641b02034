"""The port of a layout: how one family of networks takes a picture and writes down its boxes. A layout is one file in
`layouts/`, named after its slug."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.vision import layouts
from models.vision.letterbox import Placement
from models.vision.onnx_model import Arrays, Signature

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Found:
    """n boxes in the input's pixels (left, top, right, bottom), their scores 0..1, and for each the place of its class
    among those that were asked for."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.intp]


class Reader(Protocol):
    """One network's pictures and boxes; it may find a thing several times."""

    def feeds(self, image: NDArray[Any]) -> tuple[Feeds, Placement]:
        """What to run for a BGR uint8 picture (height x width x 3), good until the next call."""

    def found(self, outputs: Arrays, least_score: float) -> Found:
        """What a run gave."""


class Layout(Protocol):
    """A file in `layouts/`: these functions."""

    def recognise(self, signature: Signature) -> bool:
        """Whether a network with these inputs and outputs is of this layout."""

    def classes(self, signature: Signature) -> int | None:
        """How many classes it tells apart; None where its outputs don't show that."""

    def reader(self, signature: Signature, columns: NDArray[np.intp]) -> Reader:
        """columns: which of its classes are asked for."""


def slugs() -> tuple[str, ...]:
    """Every layout there is: `yolox` is `layouts/yolox.py`."""
    return tuple(sorted(one.name for one in pkgutil.iter_modules(layouts.__path__)))


def layout(slug: str) -> Layout:
    """Raises KeyError for a name that is not one of slugs()."""
    if slug not in slugs():
        raise KeyError(slug)
    module: Any = import_module(f"{layouts.__name__}.{slug}")
    found: Layout = module
    return found


def recognised(signature: Signature) -> tuple[str, ...]:
    """The layouts that take such a network for theirs."""
    return tuple(slug for slug in slugs() if layout(slug).recognise(signature))
