"""By which names labels and predictions are compared. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.errors import NameUnknown
from models.vision.detector import Label

VEHICLES: frozenset[str] = frozenset(
    {"car", "bus", "truck", "motorcycle", "ambulance", "police_car", "fire_engine", "other_vehicle"}
)


@dataclass(frozen=True)
class Naming:
    """names: of the label files' classes, in the order of their numbers. renamed: old to new, for labels and
    predictions alike. labels: what the model finds."""

    names: Sequence[str]
    renamed: Mapping[str, str]
    labels: frozenset[Label]

    def of(self, name: str) -> str:
        return self.renamed.get(name, name)

    @property
    def found(self) -> frozenset[str]:
        """What predictions are called."""
        return frozenset(self.of(label) for label in self.labels)

    @property
    def vehicles(self) -> frozenset[str]:
        """What a vehicle of any kind is called; a bicycle and a person are none."""
        return frozenset(self.of(name) for name in VEHICLES)

    def judged(self, used: Collection[int], model: str) -> tuple[str, ...]:
        """The classes to report: of `names`, each that labels use (by its number) or that the model finds, renamed.
        Raises NameUnknown (KF104) for one in use that is neither found by the model nor renamed."""
        known = self.found | self.renamed.keys() | set(self.renamed.values())
        unknown = sorted({name for number, name in enumerate(self.names) if number in used and name not in known})
        if unknown:
            raise NameUnknown(names=", ".join(map(repr, unknown)), model=model, known=", ".join(sorted(self.found)))
        told = [
            self.of(name) for number, name in enumerate(self.names) if number in used or self.of(name) in self.found
        ]
        return tuple(dict.fromkeys(told))

    def unreachable(self, judged: Sequence[str]) -> tuple[str, ...]:
        """Classes that no prediction can have."""
        return tuple(name for name in judged if name not in self.found)
