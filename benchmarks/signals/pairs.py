"""Two controllers on the same seeds: how much longer one takes, with what certainty."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from msgspec import Struct

# Two-sided 95 % of Student's t distribution, by degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


class Ratio(Struct, frozen=True):
    """Mean over seeds of own / other, and its paired 95 % interval; None with one seed."""

    ratio: float
    low95: float | None
    high95: float | None


def ratio(own: Sequence[float], other: Sequence[float]) -> Ratio:
    """Figures of the same seeds in the same order."""
    each = [a / b if b else 1.0 for a, b in zip(own, other, strict=True)]
    mean = sum(each) / len(each)
    if len(each) < 2:
        return Ratio(round(mean, 4), None, None)
    deviation = sqrt(sum((one - mean) ** 2 for one in each) / (len(each) - 1))
    freedom = len(each) - 1
    half = (_T95[freedom - 1] if freedom <= len(_T95) else 1.96) * deviation / sqrt(len(each))
    return Ratio(round(mean, 4), round(mean - half, 4), round(mean + half, 4))
