"""A weight of which only some input channels are trained at a time: other ones each epoch, drawn at random (TraDy,
arXiv 2510.19675). What it needs is kept for those channels alone: activations, gradient, the optimizer's numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from models.tuning.graph import Array, Shape
from models.tuning.state import Place, taken

# What the optimizer remembers and what gradients add up to, by the beginning of its name.
_BEGINS_ANEW, _SQUARE = ("velocity", "mean", "sum"), "square"


class Sampled(Struct, frozen=True):
    """tensor: of the network, of `shape`, whose `axis` the input channels are. whole: of the state, (channels, rest),
    as it was when channels were last drawn. channels: of the state, the numbers of those that are trained. part: of
    the trained tensors, their rows."""

    tensor: str
    shape: Shape
    axis: int
    whole: str
    channels: str
    part: str


def by_channel(value: Array, axis: int) -> Array:
    """(channels, rest)."""
    return np.ascontiguousarray(np.moveaxis(value, axis, 0)).reshape(value.shape[axis], -1)


def channels_first(shape: Shape, axis: int) -> Shape:
    return (shape[axis], *shape[:axis], *shape[axis + 1 :])


def as_tensor(rows: Array, one: Sampled) -> Array:
    return np.ascontiguousarray(np.moveaxis(rows.reshape(channels_first(one.shape, one.axis)), 0, one.axis))


def draw(random: np.random.Generator, count: int, wanted: int) -> Array:
    return np.sort(random.choice(count, wanted, replace=False)).astype(np.int64)


def tensors(places: Sequence[Place], sampled: Sequence[Sampled], values: dict[str, Array]) -> dict[str, Array]:
    """What is trained, by its name in the network: sampled weights whole. values: the state."""
    found = taken(places, values)
    for one in sampled:
        rows = values[one.whole].copy()
        rows[values[one.channels]] = found.pop(one.part)
        found[one.tensor] = as_tensor(rows, one)
    return found


def redraw(
    places: Sequence[Place], sampled: Sequence[Sampled], values: dict[str, Array], random: np.random.Generator
) -> None:
    """Other channels, in `values`. What the optimizer remembers of the old ones goes; of squared gradients the new ones
    begin with the old ones' mean: from zero, late in training, Adam's first steps would be several times too long."""
    at = {one.tensor: one for one in places}
    for one in sampled:
        place, channels = at[one.part], values[one.channels]
        rows, part = values[one.whole], _slice(values[place.holder], place)
        rows[channels] = part.reshape(len(channels), -1)
        channels[:] = draw(random, len(rows), len(channels))
        part[:] = rows[channels].reshape(-1)
        for prefix in (*_BEGINS_ANEW, _SQUARE):
            name = f"{prefix}.{place.holder}"
            if name in values:
                remembered = _slice(values[name], place)
                remembered[:] = remembered.mean() if prefix == _SQUARE else 0.0


def _slice(value: Array, place: Place) -> Array:
    return value.reshape(-1)[place.start : place.start + place.count]
