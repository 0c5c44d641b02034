"""Choose a token from logits: pure, the same for every engine, and repeatable from its seed.

Filters in this order: logit bias, grammar, temperature, top-k, top-p (Holtzman et al., 2020: the smallest set whose
mass reaches p), min-p (at least that share of the best one's probability).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.engine.port import Floats, Masker
from models.errors import SamplingInvalid

MAX_LOGPROBS = 20
MAX_STOPS = 16


@dataclass(frozen=True)
class Sampling:
    """temperature: 0 takes the most probable token. top_k: 0 for all. seed: None for one from the system. stop: texts
    that end an answer and are not part of it. bias: added to a token's logit; -inf forbids it. schema: a JSON schema
    that the answer follows. grammar: that it follows instead, in llama.cpp's GBNF. logprobs: how many of the most
    probable tokens are told beside the chosen one, from the model's own distribution, before any filter."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    bias: Mapping[int, float] = field(default_factory=dict)
    schema: Mapping[str, object] | None = None
    logprobs: int | None = None
    max_tokens: int = 256
    grammar: str | None = None

    def __post_init__(self) -> None:
        """Raises SamplingInvalid (KF401)."""
        for name, value, low, high in (
            ("temperature", self.temperature, 0.0, 100.0),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("top_k", self.top_k, 0, 1 << 31),
            ("max_tokens", self.max_tokens, 1, 1 << 31),
            ("logprobs", self.logprobs or 0, 0, MAX_LOGPROBS),
            ("seed", self.seed or 0, 0, (1 << 64) - 1),
        ):
            if not low <= value <= high:  # also false for what is no number
                raise SamplingInvalid(detail=f"{name} is {value}, not within {low} to {high}")
        if self.top_p == 0:
            raise SamplingInvalid(detail="top_p is 0, which leaves nothing to choose from")
        if len(self.stop) > MAX_STOPS or not all(self.stop):
            raise SamplingInvalid(detail=f"stop takes up to {MAX_STOPS} texts, none of them empty")
        if any(math.isnan(one) or one == math.inf for one in self.bias.values()):
            raise SamplingInvalid(detail="a logit bias is a finite number, or -inf")


@dataclass(frozen=True)
class Choice:
    """logprob: natural logarithm of the model's own probability; None unless asked for. top: the most probable
    tokens with theirs, best first."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Sampler:
    """The state of one answer's sampling: random numbers, and how far its grammar is."""

    def __init__(self, sampling: Sampling, masker: Masker | None = None) -> None:
        self._sampling = sampling
        self._masker = masker
        self._random = np.random.default_rng(sampling.seed)
        tokens = np.array(list(sampling.bias), np.int64)
        self._bias = (tokens, np.array(list(sampling.bias.values()), np.float32))

    def choose(self, logits: Floats) -> Choice:
        """The next token, with which the grammar goes on. logits: of one row. Raises SamplingInvalid (KF401) when bias
        and grammar forbid every token."""
        token = self._best(logits) if self._sampling.temperature == 0 else self._drawn(self.probabilities(logits))
        self.accept(token)
        return self._told(logits, token)

    def accept(self, token: int) -> None:
        if self._masker is not None:
            self._masker.accept(token)

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """What `choose` draws from, at any temperature: one number a token, sum 1."""
        if self._sampling.temperature == 0:
            chosen = np.zeros(len(logits))
            chosen[self._best(logits)] = 1.0
            return chosen
        return filtered(self._allowed(logits), self._sampling)

    def uniform(self) -> float:
        """A number in [0, 1) from the answer's own source."""
        return float(self._random.random())

    def draw(self, probabilities: NDArray[np.float64]) -> int:
        """A token of this distribution, with which the grammar goes on."""
        token = self._drawn(probabilities)
        self.accept(token)
        return token

    def told(self, logits: Floats, token: int) -> Choice:
        return self._told(logits, token)

    def _drawn(self, probabilities: NDArray[np.float64]) -> int:
        # Among the tokens that can come alone: rounding at the end of a sum must not find one that can't.
        possible = np.flatnonzero(probabilities)
        sums = np.cumsum(probabilities[possible])
        place = int(np.searchsorted(sums, self.uniform() * sums[-1], side="right"))
        return int(possible[min(place, len(possible) - 1)])

    def _best(self, logits: Floats) -> int:
        biased = self._biased(logits)
        token = int(np.argmax(biased))
        # Asking for one token is cheap, for a whole vocabulary it is not.
        if self._masker is not None and not self._masker.allows(token):
            biased = self._masker.mask(biased)
            token = int(np.argmax(biased))
        return _possible(biased, token)

    def _allowed(self, logits: Floats) -> Floats:
        biased = self._biased(logits)
        if self._masker is not None:
            biased = self._masker.mask(biased)
        _possible(biased, int(np.argmax(biased)))
        return biased

    def _biased(self, logits: Floats) -> Floats:
        tokens, values = self._bias
        if not len(tokens):
            return logits
        if tokens.max() >= len(logits) or tokens.min() < 0:
            raise SamplingInvalid(detail=f"a logit bias names a token outside of 0 to {len(logits) - 1}")
        biased = logits.copy()
        biased[tokens] += values
        return biased

    def _told(self, logits: Floats, token: int) -> Choice:
        count = self._sampling.logprobs
        if count is None:
            return Choice(token)
        spread = logits.astype(np.float64)
        logs = spread - spread.max()
        logs -= np.log(np.exp(logs).sum())
        best = np.argpartition(-logs, min(count, len(logs) - 1))[:count]
        best = best[np.argsort(-logs[best], kind="stable")]
        return Choice(token, float(logs[token]), tuple((int(one), float(logs[one])) for one in best))


def filtered(logits: Floats, sampling: Sampling) -> NDArray[np.float64]:
    """The distribution behind temperature, top-k, top-p and min-p. Ties at top-k's edge go to the smaller token."""
    scaled = logits.astype(np.float64) / sampling.temperature
    order: NDArray[np.intp] | None = None
    if sampling.top_k and sampling.top_k < len(scaled):
        edge = np.partition(scaled, -sampling.top_k)[-sampling.top_k]
        kept = np.flatnonzero(scaled >= edge)
        order = kept[np.argsort(-scaled[kept], kind="stable")][: sampling.top_k]
    elif sampling.top_p < 1:
        order = np.argsort(-scaled, kind="stable")
    kept = np.arange(len(scaled)) if order is None else order
    weights = np.exp(scaled[kept] - scaled.max())
    weights /= weights.sum()
    if sampling.top_p < 1:
        # The token that reaches p still belongs to the set.
        stays = np.cumsum(weights) - weights < sampling.top_p
        kept, weights = kept[stays], weights[stays]
    if sampling.min_p > 0:
        stays = weights >= sampling.min_p * weights.max()
        kept, weights = kept[stays], weights[stays]
    probabilities = np.zeros(len(scaled))
    probabilities[kept] = weights / weights.sum()
    return probabilities


def _possible(logits: Floats, token: int) -> int:
    if not logits[token] > -np.inf:
        raise SamplingInvalid(detail="bias and schema together forbid every token")
    return token
