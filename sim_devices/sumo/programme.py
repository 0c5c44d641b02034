"""What a traffic light's own programme shows over time: where phases, stages and clearance times are read off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import lcm

# Two programmes whose joint cycle is longer than this are looked at for this long.
JOINT_LIMIT_MS = 3_600_000
GREEN = "Gg"
# A step this short whose greens go on before or after it is part of a change (all-red beside an overlap).
CHANGE_STEP_MS = 4_000


@dataclass(frozen=True)
class Step:
    """signs: one of SUMO's letters for each signal link."""

    duration_ms: int
    signs: str

    @property
    def greens(self) -> frozenset[int]:
        return frozenset(at for at, sign in enumerate(self.signs) if sign in GREEN)


@dataclass(frozen=True)
class Programme:
    """offset_ms: at t the programme is (t - offset_ms) modulo its cycle into its steps."""

    steps: tuple[Step, ...]
    offset_ms: int = 0

    @property
    def cycle_ms(self) -> int:
        return sum(step.duration_ms for step in self.steps)

    def is_change(self, at: int) -> bool:
        """True for a step that only leads from one set of greens to the next."""
        step = self.steps[at]
        if not step.greens or any(sign in "yYu" for sign in step.signs):
            return True
        around = (self.steps[at - 1], self.steps[(at + 1) % len(self.steps)])
        return step.duration_ms <= CHANGE_STEP_MS and any(step.greens < one.greens for one in around)


def joined(programmes: Sequence[Programme]) -> Programme:
    """Several programmes that run side by side, as one: links are counted through, in order."""
    if len(programmes) == 1:
        return programmes[0]
    cycle_ms = min(lcm(*(one.cycle_ms for one in programmes)), JOINT_LIMIT_MS)
    edges = {edge for one in programmes for edge in _edges(one, cycle_ms)} | {0, cycle_ms}
    times = sorted(edges)
    shown = [(until - begin, "".join(_at(one, begin) for one in programmes)) for begin, until in pairwise(times)]
    steps = tuple(
        Step(sum(duration for duration, _ in some), signs)
        for signs, some in ((signs, list(group)) for signs, group in groupby(shown, key=lambda one: one[1]))
    )
    return Programme(steps)


def _edges(programme: Programme, until_ms: int) -> Iterator[int]:
    at_ms = programme.offset_ms % programme.cycle_ms - programme.cycle_ms
    while at_ms < until_ms:
        for step in programme.steps:
            at_ms += step.duration_ms
            if 0 <= at_ms < until_ms:
                yield at_ms


def _at(programme: Programme, time_ms: int) -> str:
    left_ms = (time_ms - programme.offset_ms) % programme.cycle_ms
    for step in programme.steps:
        left_ms -= step.duration_ms
        if left_ms < 0:
            return step.signs
    raise AssertionError("a time within the cycle is within a step")


def spells(programme: Programme, link: int) -> list[tuple[int, int, int]]:
    """Each green of a link: when it begins, when it ends, and how long yellow follows; in milliseconds of the cycle,
    the end beyond the cycle's where it runs over it. Empty for a link that is always green, or never."""
    signs = [(step.signs[link], step.duration_ms) for step in programme.steps]
    if all(sign in GREEN for sign, _ in signs) or not any(sign in GREEN for sign, _ in signs):
        return []
    first = next(at for at in range(len(signs)) if signs[at][0] in GREEN and signs[at - 1][0] not in GREEN)
    at_ms = sum(duration for _, duration in signs[:first])
    found = []
    for green, group in groupby(signs[first:] + signs[:first], key=lambda one: one[0] in GREEN):
        some = list(group)
        length_ms = sum(duration for _, duration in some)
        if green:
            found.append([at_ms, at_ms + length_ms, 0])
        else:
            for sign, duration in some:
                if sign not in "yY":
                    break
                found[-1][2] += duration
        at_ms += length_ms
    return [(begin, end, yellow) for begin, end, yellow in found]
