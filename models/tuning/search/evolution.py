"""The best choice within a budget, by evolution (MCUNetV3, arXiv 2206.15472, section 3.2): gains are added up. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.tuning.search.cost import Cost
from models.tuning.search.space import Choice

POPULATION, GENERATIONS, KEPT = 60, 80, 15


@dataclass(frozen=True)
class Gains:
    """How much less the loss on held-back examples was where a part was trained beside the head; none for what was not
    tried. What made it worse counts as 0: it is left out."""

    biases: Mapping[int, float]
    groups: Mapping[int, float]

    def of(self, choice: Choice) -> float:
        """The sum of what each gained alone."""
        return max(self.biases.get(choice.biases, 0.0), 0.0) + sum(
            max(self.groups.get(one, 0.0), 0.0) for one in choice.groups
        )

    @property
    def worthwhile(self) -> tuple[list[int], list[int]]:
        return (
            [one for one, gain in self.biases.items() if gain > 0],
            [one for one, gain in self.groups.items() if gain > 0],
        )


def evolve(gains: Gains, cost: Callable[[Choice], Cost], budget: Cost, seed: int = 0) -> list[Choice]:
    """What fits, the most gain first, of equal gains the cheaper; empty where nothing does."""
    random = np.random.default_rng(seed)
    biases, groups = gains.worthwhile
    known: dict[Choice, tuple[float, ...]] = {}

    def fitness(choice: Choice) -> tuple[float, ...]:
        if choice not in known:
            takes = cost(choice)
            over = takes.excess(budget)
            known[choice] = (-over, gains.of(choice), -takes.step_ms)
        return known[choice]

    population = [Choice(), *(Choice(one) for one in biases), *(Choice(-1, frozenset({one})) for one in groups)]
    population.append(_greedy(gains, fitness, biases, groups))
    population += [_drawn(random, biases, groups) for _ in range(POPULATION)]
    for _ in range(GENERATIONS):
        population = sorted(dict.fromkeys(population), key=fitness, reverse=True)[:KEPT]
        children: list[Choice] = []
        while len(children) < POPULATION:
            one, other = (population[int(random.integers(len(population)))] for _ in range(2))
            children.append(_changed(random, _crossed(random, one, other), biases, groups))
        population = [*population, *children]
    ranked = sorted(dict.fromkeys(population), key=fitness, reverse=True)
    return [one for one in ranked if fitness(one)[0] == 0.0]


def _greedy(
    gains: Gains, fitness: Callable[[Choice], tuple[float, ...]], biases: Sequence[int], groups: Sequence[int]
) -> Choice:
    """Whatever still fits, the most gain first."""
    chosen = Choice()
    parts = [(gains.biases[one], Choice(one)) for one in biases]
    parts += [(gains.groups[one], Choice(-1, frozenset({one}))) for one in groups]
    for _, part in sorted(parts, key=lambda one: -one[0]):
        more = Choice(max(chosen.biases, part.biases), chosen.groups | part.groups)
        if fitness(more)[0] == 0.0:
            chosen = more
    return chosen


def _drawn(random: np.random.Generator, biases: Sequence[int], groups: Sequence[int]) -> Choice:
    share = random.random()
    return Choice(_one_of(random, biases), frozenset(one for one in groups if random.random() < share))


def _one_of(random: np.random.Generator, biases: Sequence[int]) -> int:
    return [-1, *biases][int(random.integers(1 + len(biases)))]


def _crossed(random: np.random.Generator, one: Choice, other: Choice) -> Choice:
    either = one.groups | other.groups
    taken = frozenset(
        group for group in sorted(either) if (group in one.groups and group in other.groups) or random.random() < 0.5
    )
    return Choice(one.biases if random.random() < 0.5 else other.biases, taken)


def _changed(random: np.random.Generator, choice: Choice, biases: Sequence[int], groups: Sequence[int]) -> Choice:
    """A group more or less, or one for another, or other biases."""
    if not groups or random.random() < 0.3:
        return Choice(_one_of(random, biases), choice.groups)
    flipped = frozenset(groups[int(random.integers(len(groups)))] for _ in range(1 + int(random.random() < 0.5)))
    return Choice(choice.biases, choice.groups ^ flipped)
