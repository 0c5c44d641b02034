"""The lower tier's own part: its context, drafts from it, and the hidden states of what it has computed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine.port import Engine, Floats, Output, Piece
from models.engine.sampling import Sampler, Sampling
from models.escalation.spread import rounded, table
from protocol.tiers import Spread

# Its random numbers are others than the upper tier's, which decide what is accepted.
_SEED_APART = 0x5EED


@dataclass(frozen=True)
class Drafted:
    """tokens: the draft. spreads: what they were drawn from; none for the best ones. hidden: rows of all that was
    computed since the last time, the draft's included; None where they are not read. seconds: of drafting."""

    tokens: tuple[int, ...]
    spreads: tuple[Spread, ...]
    hidden: Floats | None
    seconds: float


class Drafter:
    """engine: with a tap where hidden states are handed over. One sequence of it, on its thread."""

    def __init__(self, engine: Engine, prompt: Sequence[int], sampling: Sampling, sequence: int = 0) -> None:
        self.engine, self.sequence = engine, sequence
        self.known = list(prompt)
        self._sampling = sampling
        seed = None if sampling.seed is None else sampling.seed ^ _SEED_APART
        self._random = np.random.default_rng(seed)
        # What is forbidden above is not drafted; a grammar is kept to above alone.
        self._sampler = Sampler(
            Sampling(
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                min_p=sampling.min_p,
                bias=sampling.bias,
            )
        )
        engine.rollback(sequence, 0)

    @property
    def speaks(self) -> bool:
        """Whether the engine gives words by itself, and not only hidden states."""
        return self.engine.facts.gives_logits

    @property
    def drafts(self) -> bool:
        """What is not accepted has to be taken back, which not every memory can."""
        return self.speaks and self.engine.facts.memory.has_ranges

    def draft(self, count: int, *, with_hidden: bool) -> Drafted:
        """`count` tokens behind all that is known, fewer where one of them ends the answer. with_hidden: the last one
        is computed as well, since its hidden states go up, too."""
        began_s = time.monotonic()
        tokens: list[int] = []
        spreads: list[Spread] = []
        hidden: list[Floats] = []
        fresh = self.known[self.engine.length(self.sequence) :]
        first_s = 0.0
        for place in range(count):
            output = self._run(fresh, wanted=True)
            if place == 0:
                first_s = time.monotonic() - began_s
            hidden += [] if output.hidden is None else [output.hidden]
            token = self._drawn(output.logits[-1], spreads)
            tokens.append(token)
            fresh = [token]
            if token in self.engine.facts.ends:
                break
        # How long a prompt takes says nothing of a drafted token.
        rest_s = time.monotonic() - began_s - first_s if len(tokens) > 1 else 0.0
        if with_hidden:
            output = self._run(fresh, wanted=False)
            hidden += [] if output.hidden is None else [output.hidden]
        seconds = rest_s * len(tokens) / max(1, len(tokens) - 1)
        return Drafted(tuple(tokens), tuple(spreads), np.concatenate(hidden) if hidden else None, seconds)

    def keep(self, accepted: int, chosen: Sequence[int]) -> None:
        """The verdict: what is known now, and nothing held that is not."""
        stays = len(self.known) + accepted
        self.known += chosen
        if self.engine.length(self.sequence) > stays:
            self.engine.rollback(self.sequence, stays)

    def resume(self) -> None:
        """Behind what is known, by itself: a draft that was never judged goes."""
        if self.engine.length(self.sequence) >= len(self.known):
            keeps = len(self.known) - 1 if self.engine.facts.memory.has_ranges else 0
            self.engine.rollback(self.sequence, keeps)

    def confidence(self, tokens: int, temperature: float) -> float:
        """The geometric mean of the likeliest tokens' probabilities over what would be said first; nothing is kept.
        temperature: the member's calibration."""
        if not self.speaks:
            return 0.0
        logs: list[float] = []
        fresh = list(self.known)
        for _ in range(tokens):
            logits = self._run(fresh, wanted=True).logits[-1].astype(np.float64) / temperature
            logits -= logits.max()
            logs.append(-float(np.log(np.exp(logits).sum())))
            fresh = [int(np.argmax(logits))]
            if fresh[0] in self.engine.facts.ends:
                break
        self.engine.rollback(self.sequence, 0)
        return float(np.exp(np.mean(logs)))

    def _drawn(self, logits: Floats, spreads: list[Spread]) -> int:
        if self._sampling.temperature == 0:
            return self._sampler.choose(logits).token
        probabilities: NDArray[np.float64] = self._sampler.probabilities(logits)
        spreads.append(rounded(probabilities))
        tokens, weights = table(spreads[-1])
        return int(self._random.choice(tokens, p=weights))

    def _run(self, tokens: Sequence[int], *, wanted: bool) -> Output:
        return self.engine.decode([Piece(self.sequence, tokens, wanted="last" if wanted else "none")])[0]
