"""Loads of requests with beginnings in common, made here: each a list of its blocks' keys."""

from __future__ import annotations

import random


class _Names:
    def __init__(self) -> None:
        self._next = 0

    def fresh(self, count: int) -> list[bytes]:
        self._next += count
        return [one.to_bytes(4, "big") for one in range(self._next - count, self._next)]


def agents(seed: int, count: int) -> list[list[bytes]]:
    """Agents: a few long prompts that many share, and sessions of a few turns behind each."""
    dice, names = random.Random(seed), _Names()  # noqa: S311 (a load)
    prompts = [names.fresh(dice.randint(4, 14)) for _ in range(300)]
    weights = [1 / (place + 1) ** 0.9 for place in range(len(prompts))]
    sessions: list[list[bytes]] = []
    asked = []
    while len(asked) < count:
        if sessions and dice.random() < 0.6:
            place = dice.randrange(len(sessions))
            sessions[place] = sessions[place] + names.fresh(dice.randint(1, 4))
            asked.append(sessions[place])
            if dice.random() < 0.35:
                sessions.pop(place)
        else:
            asked.append(dice.choices(prompts, weights)[0] + names.fresh(dice.randint(1, 8)))
            if dice.random() < 0.7:
                sessions.append(asked[-1])
    return asked


def documents(seed: int, count: int) -> list[list[bytes]]:
    """Half of them ask about one of some documents, the others about what nobody asks again."""
    dice, names = random.Random(seed), _Names()  # noqa: S311 (a load)
    kept = [names.fresh(dice.randint(10, 60)) for _ in range(400)]
    return [
        dice.choice(kept) + names.fresh(dice.randint(1, 3)) if dice.random() < 0.5 else names.fresh(dice.randint(5, 40))
        for _ in range(count)
    ]
