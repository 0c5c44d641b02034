"""Check a draft in one step of the larger model, and keep what it would have said itself.

With the drafter's distributions: speculative sampling (Leviathan et al., 2023, algorithm 1). Without: the verifier
draws from its own distribution at each place and goes on while the draft agrees, which is exact as well and accepts
less. At temperature 0 both are plain comparison. "Itself" means its own path of several rows in a step: single steps
can differ from it where two logits nearly tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine.port import Engine, Floats, Piece, Wanted
from models.engine.sampling import Choice, Sampler


@dataclass(frozen=True)
class Verified:
    """accepted: how many of the draft stand. choices: those, and one more of the verifier's own. The sequence holds all
    but the last of them."""

    accepted: int
    choices: tuple[Choice, ...]


def verify(
    engine: Engine,
    sequence: int,
    last: int,
    draft: Sequence[int],
    sampler: Sampler,
    *,
    drafted: NDArray[np.float64] | None = None,
    hidden: Floats | None = None,
) -> Verified:
    """last: the token chosen before the draft, which the sequence does not hold yet. drafted: the drafter's
    distribution for each of its tokens (rows x vocabulary), which must be what it drew them from.
    hidden: in place of `last` and the draft, their hidden states, for an engine that goes on from those.
    Raises as `Engine.decode`; then the sequence is as it was wherever a step can be undone."""
    held = engine.length(sequence)
    # Where no part of a context can be cut off, the whole of it is kept aside.
    kept = None if engine.facts.memory.has_ranges or not held else engine.export(sequence)
    rows = engine.decode([_piece(sequence, (last, *draft), hidden, "all")])[0].logits
    choices = _chosen(rows, draft, sampler, drafted)
    stays = held + len(choices)
    if engine.facts.memory.has_ranges:
        engine.rollback(sequence, stays)
    elif stays < engine.length(sequence):
        engine.rollback(sequence, 0)
        if kept is not None:
            engine.adopt(sequence, kept)
        kept_rows = None if hidden is None else hidden[: len(choices)]
        engine.decode([_piece(sequence, (last, *draft[: len(choices) - 1]), kept_rows, "none")])
    return Verified(len(choices) - 1, tuple(choices))


def _piece(sequence: int, tokens: Sequence[int], hidden: Floats | None, wanted: Wanted) -> Piece:
    return Piece(sequence, tokens, wanted=wanted) if hidden is None else Piece(sequence, hidden=hidden, wanted=wanted)


def _chosen(rows: Floats, draft: Sequence[int], sampler: Sampler, drafted: NDArray[np.float64] | None) -> list[Choice]:
    choices = []
    for place, token in enumerate(draft):
        logits = rows[place]
        if drafted is None:
            choice = sampler.choose(logits)
            choices.append(choice)
            if choice.token != token:
                return choices
            continue
        own, theirs = sampler.probabilities(logits), drafted[place]
        if theirs[token] <= 0:
            raise ValueError(f"token {token} can't have been drawn from the distribution given for it")
        if sampler.uniform() < own[token] / theirs[token]:
            sampler.accept(token)
            choices.append(sampler.told(logits, token))
            continue
        rest = np.maximum(own - theirs, 0.0)
        # Rounding can leave nothing where the two distributions are one.
        taken = sampler.draw(rest if rest.any() else own)
        return [*choices, sampler.told(logits, taken)]
    return [*choices, sampler.choose(rows[len(draft)])]
