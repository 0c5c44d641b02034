"""What a feature needs of a detector."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from models.errors import LabelsLacking
from models.vision.detector import LABELS, Label


class Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> frozenset[Label]: ...


def require(detector: Named, feature: str, labels: Collection[Label]) -> None:
    """Refuse a feature that needs labels which the detector lacks, by their names. Raises LabelsLacking (KF108)."""
    lacking = [label for label in LABELS if label in labels and label not in detector.labels]
    if lacking:
        raise LabelsLacking(feature=feature, lacking=", ".join(lacking), model=detector.name)
