"""How often a choice is right, from what was seen when it was made: a logistic fit to held-back questions."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from models.assistant.tools import Tool


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """weights: of `Resolved.features`, then a constant. threshold: from which confidence on a choice is sure.
    none_threshold: the same for a choice of no tool, on which nothing is done; threshold where it is not given.
    held_back: questions it was fitted to; sure_and_wrong: share of them, judged on those it was not fitted to."""

    weights: tuple[float, ...]
    threshold: Annotated[float, Meta(ge=0, le=1)]
    none_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    held_back: int
    sure_and_wrong: float

    def least(self, tool: Tool) -> float:
        """The confidence from which a choice of it is sure."""
        none = self.threshold if self.none_threshold is None else self.none_threshold
        return none if tool is Tool.NONE else self.threshold

    def confidence(self, features: Sequence[float]) -> float:
        *weights, constant = self.weights
        total = constant + sum(weight * one for weight, one in zip(weights, features, strict=True))
        return 1 / (1 + exp(-max(-40.0, min(40.0, total))))


def read_calibration(path: Path) -> Calibration:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Calibration)
