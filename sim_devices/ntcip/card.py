"""What is programmed into a simulated NTCIP controller: phases, times, pre-empts. Eight phases in two rings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_server.cabinet.ntcip.numbers import Numbers
from edge_server.signals.timetable import milliseconds
from protocol.cabinet import Cabinet
from protocol.site import Intersection
from sim_devices.errors import SimulatedPhasesUnfit

# NEMA TS 2's usual eight phases: ring 1 is 1 to 4, ring 2 is 5 to 8, and the barrier parts 1, 2, 5, 6 from the others.
RINGS = ((1, 2, 3, 4), (5, 6, 7, 8))
SIDES = (frozenset({1, 2, 5, 6}), frozenset({3, 4, 7, 8}))


@dataclass(frozen=True)
class Times:
    """walk_ms 0: no pedestrians in this phase. max_ms: of green, while somebody else waits."""

    min_green_ms: int
    max_ms: int
    yellow_ms: int
    red_ms: int
    walk_ms: int = 0
    clear_ms: int = 0


@dataclass(frozen=True)
class Card:
    """phases: those that are enabled. preempts: what each pre-empt dwells in, number 1 first. backup_s:
    unitBackupTime."""

    phases: Mapping[int, Times]
    preempts: tuple[frozenset[int], ...] = ()
    backup_s: int = 10

    @classmethod
    def of(cls, intersection: Intersection, cabinet: Cabinet, backup_s: int = 10) -> Card:
        """The site file's own times, and its plan's greens as maximum greens. Pre-empt 1 is a railway's, which dwells
        in the first stage; those of the site file follow. Raises SimulatedPhasesUnfit (KF344)."""
        numbers = Numbers.of(intersection, cabinet)
        if not numbers.all <= SIDES[0] | SIDES[1]:
            raise SimulatedPhasesUnfit(intersection=intersection.id, phases=sorted(numbers.all))
        green_ms: dict[int, int] = {}
        for step in intersection.plan.steps:
            for number in numbers.running(frozenset(intersection.stage(step.stage).phases)):
                green_ms[number] = max(green_ms.get(number, 0), milliseconds(step.green_s))
        phases = {}
        for number in sorted(numbers.all):
            vehicles = [one for one in intersection.phases if numbers.vehicles.get(one.id) == number]
            walks = [one for one in intersection.phases if numbers.walks.get(one.id) == number]
            timed = [*vehicles, *walks]
            phases[number] = Times(
                min_green_ms=max((milliseconds(one.min_green_s) for one in vehicles), default=0),
                max_ms=green_ms.get(number, 20_000),
                yellow_ms=max((milliseconds(one.yellow_s) for one in vehicles), default=3_000),
                red_ms=max(milliseconds(one.all_red_s) for one in timed),
                walk_ms=max((milliseconds(one.walk_s) for one in walks), default=0),
                clear_ms=max((milliseconds(one.pedestrian_clearance_s) for one in walks), default=0),
            )
        dwells = [numbers.running(frozenset(intersection.stages[0].phases))]
        for stage, number in sorted(cabinet.preempts, key=lambda pair: pair[1]):
            while len(dwells) < number:
                dwells.append(dwells[0])
            dwells[number - 1] = numbers.running(frozenset(intersection.stage(stage).phases))
        return cls(phases, tuple(dwells), backup_s)


def ring_of(phase: int) -> int:
    return 0 if phase in RINGS[0] else 1


def side_of(phase: int) -> int:
    return 0 if phase in SIDES[0] else 1
