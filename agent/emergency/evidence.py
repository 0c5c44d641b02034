"""What each kind of evidence is worth: natural logarithms of likelihood ratios for "an emergency vehicle on this
approach asks for way" against "none does". The figures and where they come from: docs/emergency.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Literal

from agent.emergency.siren import SirenReading
from models.vision.detector import Label

Evidence = Literal["class", "beacons", "siren", "declared"]
Kind = Literal["ambulance", "police_car", "fire_engine", "emergency_other", "unknown"]
EMERGENCY_LABELS: tuple[Label, ...] = ("ambulance", "police_car", "fire_engine")

# One vehicle in 500 asks for way: before any evidence.
PRIOR_LOG_ODDS = log(1 / 500)
# Fitted to the shipped detector on rendered roads (benchmarks/eval/fit_beacons.py), each about one standard error
# nearer to nothing: white vans pass for ambulances there.
CLASS_LLR = (-0.5, 1.9)
SYNTHETIC_CLASS_LLR = (-0.5, 0.8)
# A siren tells that somebody asks, not where: 97 of 100 are heard, and so are the other three approaches' and 0.5 % of
# what is none.
SIREN_LLR = (-0.3, 4.5)
BEACON_LLR = (-3.0, 10.0)
# Amber lamps are those of works vehicles; they count where the class says that this is none, and ask with a siren.
AMBER_LLR = 3.0
DECLARED_LLR, UNPROVEN_LLR = 12.0, 1.0
_SCORE_UNKNOWN = 0.3


@dataclass(frozen=True)
class Declared:
    """What a vehicle says of itself for this approach. authenticated: somebody else has verified who says it."""

    kind: Kind
    authenticated: bool
    beacons: bool
    mono_ms: int


@dataclass(frozen=True)
class ClassEvidence:
    """named: the class is above the threshold at which the detector's finds count."""

    kind: Kind
    llr: float
    named: bool

    @property
    def learnt(self) -> bool:
        """Named by a class that real pictures taught."""
        return self.named and self.kind not in ("unknown", "emergency_other")


def of_class(
    scores: Mapping[Label, float], thresholds: Mapping[Label, float], synthetic_only: frozenset[Label]
) -> ClassEvidence:
    """From a track's mean scores. A class that only drawings taught is emergency_other, and worth little."""
    found = [(scores.get(label, 0.0) / thresholds.get(label, _SCORE_UNKNOWN), label) for label in EMERGENCY_LABELS]
    margin, label = max(found)
    low, high = SYNTHETIC_CLASS_LLR if label in synthetic_only else CLASS_LLR
    llr = low + (high - low) * share_of(margin)
    kind: Kind = "emergency_other" if label in synthetic_only else label  # type: ignore[assignment]
    return ClassEvidence(kind if margin >= 0.5 else "unknown", llr, margin >= 1.0)


def share_of(margin: float) -> float:
    """0..1: how far a score goes from no word of a class to all that its name is worth. margin: over its threshold."""
    return min(1.0, max(0.0, margin - 0.3))


def of_beacons(llr: float, amber_llr: float, named: ClassEvidence) -> float:
    """amber_llr counts for a vehicle that a class, learnt from real pictures, names an emergency vehicle."""
    if named.learnt:
        llr = max(llr, min(AMBER_LLR, amber_llr))
    return min(BEACON_LLR[1], max(BEACON_LLR[0], llr))


def of_siren(reading: SirenReading | None) -> float:
    """0 where nothing is heard because nothing listens, or there is silence."""
    if reading is None or reading.llr is None:
        return 0.0
    return min(SIREN_LLR[1], max(SIREN_LLR[0], reading.llr))


def of_declaration(declared: Declared | None) -> float:
    if declared is None or not declared.beacons:
        return 0.0
    return DECLARED_LLR if declared.authenticated else UNPROVEN_LLR
