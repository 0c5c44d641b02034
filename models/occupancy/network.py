"""A small network that reads how much road stands under vehicles from planes of lanes x rows.

Convolutions over three lanes and three rows, the rows further and further apart; weights are learnt on rendered roads
by models/training/occupancy and described in weights/lanes.md. NumPy alone runs it, a millisecond or two a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights" / "lanes.npz"
# In this order; `left` to `covered` are what is seen, the rest how it is seen.
PLANES = (
    "left", "middle", "right", "signed", "moved", "covered", "strong", "noise", "known", "haze", "empty",
    "distance", "resolution", "aside", "height", "within", "in_picture", "lane_width",
)  # fmt: skip
DILATIONS = (1, 2, 4, 8, 16)
SPREADS = ("third", "lane", "whole")
OUTPUTS = ("footprint", "standing", "vehicles")


@dataclass(frozen=True)
class Maps:
    """Each lanes x rows. footprint: share of the cell's road under vehicles. standing: that of vehicles that stand.
    vehicles: how many have their middle in the cell. hidden: (channels, lanes, rows), what the heads read."""

    footprint: NDArray[np.float32]
    standing: NDArray[np.float32]
    vehicles: NDArray[np.float32]
    hidden: NDArray[np.float32]


class Network:
    """weights: arrays named as in weights/lanes.npz."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        self.weights = {name: np.asarray(value, np.float32) for name, value in weights.items()}

    def maps(self, planes: Planes) -> Maps:
        w = self.weights
        x = _relu(_pointwise(planes, w["in.weight"], w["in.bias"]))
        for number, dilation in enumerate(DILATIONS):
            x = x + _relu(_convolve(x, w[f"block{number}.weight"], w[f"block{number}.bias"], dilation))
        out = _pointwise(x, w["out.weight"], w["out.bias"])
        footprint, standing = _sigmoid(out[0]), _sigmoid(out[1])
        return Maps(footprint, footprint * standing, np.exp(np.minimum(out[2], 3.0)), x)

    def spread(self, name: str, hidden: NDArray[Any], value: NDArray[Any], lanes: int) -> tuple[Planes, Planes]:
        """How far below and above `value` the 90 % interval reaches. name: one of SPREADS; hidden: (n, channels), the
        mean of Maps.hidden over what value (n,) is of."""
        w = self.weights
        told = np.concatenate([hidden, value[:, None], np.full((len(value), 1), 1 / lanes)], axis=1)
        x = _relu(told.astype(np.float32) @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"])
        y = x @ w[f"{name}.2.weight"].T + w[f"{name}.2.bias"]
        offsets = (np.logaddexp(0.0, y) * w[f"{name}.scale"]).astype(np.float32)
        return offsets[:, 0], offsets[:, 1]


def shipped() -> Network:
    with np.load(WEIGHTS) as stored:
        return Network({name: stored[name] for name in stored.files})


def _pointwise(x: Planes, weight: NDArray[Any], bias: NDArray[Any]) -> Planes:
    """weight: (out, in)."""
    return np.asarray((weight @ x.reshape(len(x), -1) + bias[:, None]).reshape(-1, *x.shape[1:]), np.float32)


def _convolve(x: Planes, weight: NDArray[Any], bias: NDArray[Any], dilation: int) -> Planes:
    """weight: (out, in, 3, 3), lanes then rows; edges padded by nought."""
    channels, lanes, rows = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (dilation, dilation)))
    taps = np.empty((3, 3, channels, lanes, rows), np.float32)
    for i in range(3):
        for j in range(3):
            taps[i, j] = padded[:, i : i + lanes, j * dilation : j * dilation + rows]
    matrix = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return np.asarray((matrix @ taps.reshape(-1, lanes * rows) + bias[:, None]).reshape(-1, lanes, rows), np.float32)


def _relu(x: Planes) -> Planes:
    return np.maximum(x, 0)


def _sigmoid(x: Planes) -> Planes:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)
