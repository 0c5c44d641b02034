"""A drafter's distribution in some hundred bytes, and exactly the one that it draws from.

Speculative sampling (Leviathan et al., 2023) is exact for whatever distribution q a draft was drawn from, as long as
the verifier knows that very q. So the drafter rounds first, and draws from what it has rounded to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import RequestUnserved
from protocol.tiers import Spread

MOST = 24
_SCALE = 65_535


def rounded(probabilities: NDArray[np.float64], most: int = MOST) -> Spread:
    """Its `most` likeliest tokens, weights in 65,535ths of the likeliest one's; those that round to nothing are left
    out."""
    count = min(most, int(np.count_nonzero(probabilities)))
    best = np.argpartition(-probabilities, count - 1)[:count]
    best = best[np.argsort(-probabilities[best], kind="stable")]
    weights = np.rint(probabilities[best] / probabilities[best[0]] * _SCALE).astype("<u2")
    kept = weights > 0
    return Spread(tokens=best[kept].astype("<u4").tobytes(), weights=weights[kept].tobytes())


def table(spread: Spread) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Tokens and their probabilities. Raises RequestUnserved (KF501) for what is no distribution."""
    if len(spread.tokens) != 2 * len(spread.weights) or len(spread.tokens) % 4:
        raise RequestUnserved(detail="a spread does not have a weight for each token")
    tokens = np.frombuffer(spread.tokens, "<u4").astype(np.int64)
    weights = np.frombuffer(spread.weights, "<u2").astype(np.float64)
    if not len(tokens) or len(set(tokens.tolist())) != len(tokens) or not weights.all():
        raise RequestUnserved(detail="a spread is empty, names a token twice, or weighs one nothing")
    return tokens, weights / weights.sum()


def rows(spreads: Sequence[Spread], drafted: Sequence[int], vocabulary: int) -> NDArray[np.float64]:
    """drafted x vocabulary, as `verify` takes it. Raises RequestUnserved (KF501)."""
    if len(spreads) != len(drafted):
        raise RequestUnserved(detail=f"{len(drafted)} drafted tokens have {len(spreads)} spreads")
    found = np.zeros((len(drafted), vocabulary))
    for row, (spread, token) in enumerate(zip(spreads, drafted, strict=True)):
        tokens, probabilities = table(spread)
        if tokens.max() >= vocabulary or token not in tokens:
            raise RequestUnserved(detail="a drafted token is not in its spread, or a spread not in the vocabulary")
        found[row, tokens] = probabilities
    return found
