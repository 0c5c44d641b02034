"""What to try after evolution: gains do not really add up, so the best choice that was trained is changed by one part
at a time, as long as there is time. Pure."""

from __future__ import annotations

from collections.abc import Callable

from models.tuning.search.cost import Cost
from models.tuning.search.evolution import Gains
from models.tuning.search.space import Choice

# What is guessed to exceed the budget by no more than this share is measured.
NEARLY = 0.1


def neighbours(
    best: Choice, parts: tuple[int, int], gains: Gains, cost: Callable[[Choice], Cost], budget: Cost
) -> list[Choice]:
    """Other biases, a group more, one for another, or one less: those that should fit, by what their parts gained
    alone, of equal ones those with more; then those that are guessed to be hardly too much. parts: how many biases and
    groups there are."""
    biases, groups = parts
    within = sorted(best.groups)
    without = [one for one in range(groups) if one not in best.groups]
    found = [Choice(number, best.groups) for number in range(-1, biases) if number != best.biases]
    found += [Choice(best.biases, best.groups | {one}) for one in without]
    found += [Choice(best.biases, best.groups - {old} | {new}) for old in within for new in without]
    found += [Choice(best.biases, best.groups - {old}) for old in within]
    over = {one: cost(one).excess(budget) for one in found}
    near = [one for one in found if over[one] <= NEARLY]
    return sorted(near, key=lambda one: (over[one] > 0, -gains.of(one), -len(one.groups), -one.biases))


def last_that_fits(
    firsts: list[int], biases: int, cost: Callable[[Choice], Cost], budget: Cost
) -> Choice:  # fmt: skip
    """Weights from the network's end on, then biases, as long as it fits. firsts: of each group its earliest layer."""
    chosen = Choice()
    last_first = sorted(range(len(firsts)), key=lambda one: -firsts[one])
    for count in range(1, len(last_first) + 1):
        more = Choice(-1, frozenset(last_first[:count]))
        if cost(more).fits(budget):
            chosen = more
    for number in range(biases):
        more = Choice(number, chosen.groups)
        if cost(more).fits(budget):
            chosen = more
    return chosen
