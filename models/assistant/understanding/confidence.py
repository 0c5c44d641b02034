"""How often a choice is right, from what was seen when it was made: a logistic fit to held-back questions."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """weights: of `Resolved.features`, then a constant. threshold: from which confidence on a choice is sure.
    held_back: questions it was fitted to; sure_and_wrong: share of them, judged on those it was not fitted to."""

    weights: tuple[float, ...]
    threshold: Annotated[float, Meta(ge=0, le=1)]
    held_back: int
    sure_and_wrong: float

    def confidence(self, features: Sequence[float]) -> float:
        *weights, constant = self.weights
        total = constant + sum(weight * one for weight, one in zip(weights, features, strict=True))
        return 1 / (1 + exp(-max(-40.0, min(40.0, total))))


def read_calibration(path: Path) -> Calibration:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Calibration)
