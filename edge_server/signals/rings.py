"""Dual rings: the order in which a NEMA controller serves phases, found from which phases go together.

NEMA TS 2, section 3.5: phases stand in rings; within a ring they are served one after the other; a barrier is crossed
by both rings together. Here a *barrier group* is a set of phases that go together, directly or by way of others; its
rings are the sets within it that conflict with one another. A turn that gives way beside another phase conflicts with
it here: in a ring it has a green of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

from protocol.ids import PhaseId, StageId

if TYPE_CHECKING:
    from edge_server.signals.layout import Layout, StageLayout

Ring = tuple[PhaseId, ...]
RINGS = 2


@dataclass(frozen=True)
class Place:
    """Where a stage stands: its barrier group, and in each ring how far into it (-1: nothing of that ring)."""

    group: int
    at: tuple[int, ...]


@dataclass(frozen=True)
class Rings:
    """groups: of each barrier group, its rings. places: of each stage that fits into the order."""

    groups: tuple[tuple[Ring, ...], ...]
    places: Mapping[StageId, Place]

    def may_follow(self, current: StageId, waiting: frozenset[PhaseId]) -> list[StageId]:
        """Stages that may come after `current`, itself included. Rings only go forward; the barrier is crossed once
        nobody waits for a phase that is still to come before it."""
        here = self.places[current]
        rings = self.groups[here.group]
        pending = any(phase in waiting for ring, at in zip(rings, here.at, strict=True) for phase in ring[at + 1 :])
        after = (here.group + 1) % len(self.groups)
        found = []
        for stage, place in self.places.items():
            if place.group == here.group:
                # No phase that somebody waits for is passed over.
                if all(
                    at <= to and not any(phase in waiting for phase in ring[at + 1 : to])
                    for ring, at, to in zip(rings, here.at, place.at, strict=True)
                ):
                    found.append(stage)
            elif place.group == after and not pending:
                rings_after = self.groups[after]
                if all(
                    not any(phase in waiting for phase in ring[: max(0, to)])
                    for ring, to in zip(rings_after, place.at, strict=True)
                ):
                    found.append(stage)
        return found


def rings_of(layout: Layout) -> Rings | None:
    """None where the phases make no dual ring."""
    phases = [phase for phase, times in layout.phases.items() if not times.pedestrian]
    together = _together(layout.stages.values(), layout.pedestrians)
    groups = _parts(phases, lambda one, other: frozenset((one, other)) in together)
    if len(groups) < RINGS:
        return None
    found = []
    for group in groups:
        rings = _parts(group, lambda one, other: frozenset((one, other)) not in together)
        fits = all(frozenset(pair) not in together for ring in rings for pair in combinations(ring, 2))
        if len(rings) > RINGS or not fits:
            return None
        # Turns that may also go while they give way lead, as protected left turns do.
        turning = frozenset[PhaseId]().union(*(stage.yields for stage in layout.stages.values()))
        found.append(tuple(tuple(sorted(ring, key=lambda one: (one not in turning, one))) for ring in rings))
    places = _places(tuple(found), layout)
    reached = {phase for stage in places for phase in layout.stages[stage].phases}
    return Rings(tuple(found), places) if reached >= set(phases) else None


def _together(stages: Iterable[StageLayout], walkers: frozenset[PhaseId]) -> set[frozenset[PhaseId]]:
    """Pairs that are green in one stage without one giving way to the other: neither does, or each does (two roads
    whose turns share lanes with what goes straight on)."""
    return {
        frozenset((one, other))
        for stage in stages
        for one, other in combinations(stage.phases - walkers, 2)
        if (one in stage.yields) == (other in stage.yields)
    }


def _parts(phases: Iterable[PhaseId], linked: Callable[[PhaseId, PhaseId], bool]) -> list[list[PhaseId]]:
    left = list(phases)
    parts = []
    while left:
        part = [left.pop(0)]
        for one in part:
            near = [other for other in left if linked(one, other)]
            part += near
            left = [other for other in left if other not in near]
        parts.append(part)
    return parts


def _places(groups: tuple[tuple[Ring, ...], ...], layout: Layout) -> dict[StageId, Place]:
    wanted: dict[frozenset[PhaseId], Place] = {}
    for number, rings in enumerate(groups):
        for at in product(*(range(len(ring)) for ring in rings)):
            phases = frozenset(ring[one] for ring, one in zip(rings, at, strict=True))
            wanted[phases] = Place(number, at)
    found = {}
    for stage in layout.stages.values():
        vehicles = stage.phases - layout.pedestrians
        # A stage stands where its phases do; those that give way in it may go along.
        place = wanted.get(vehicles) or wanted.get(vehicles - stage.yields)
        if place is not None:
            found[stage.id] = place
    return found
