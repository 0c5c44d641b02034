"""Texts as directions: the mean of a member's residuals behind its last block, over all tokens, at length one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from models.engine.port import Engine, Floats, Piece
from models.errors import ContextTooLong, EmbeddingImpossible, RequestUnserved
from models.serving.port import Scheduler
from models.serving.requests import read
from models.serving.template import prompt_of

MOST_TEXTS = 256
ROWS = 256


class Embedding(Struct, frozen=True, kw_only=True):
    """dimensions: only as many as the member has."""

    input: str | tuple[str | int | tuple[int, ...], ...]
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def inputs(self) -> list[str | Sequence[int]]:
        """Raises RequestUnserved (KF501)."""
        given = (self.input,) if isinstance(self.input, str) else self.input
        tokens = [one for one in given if isinstance(one, int)]
        if not given or (tokens and len(tokens) != len(given)):
            raise RequestUnserved(detail="input: one text, some texts, or tokens of one or some are taken")
        texts = [one for one in given if not isinstance(one, int)]
        if len(texts) > MOST_TEXTS:
            raise RequestUnserved(detail=f"input: up to {MOST_TEXTS} texts are taken, not {len(texts)}")
        return [tokens] if tokens else list(texts)


@dataclass(frozen=True)
class Embedded:
    vectors: Sequence[Floats]
    tokens: int

    def told(self, model: str, wish: Embedding) -> dict[str, Any]:
        """As OpenAI's protocol lists them."""

        def one(vector: Floats) -> object:
            if wish.encoding_format == "base64":
                return base64.b64encode(vector.astype("<f4").tobytes()).decode()
            return [float(value) for value in vector]

        data = [
            {"object": "embedding", "index": place, "embedding": one(vector)}
            for place, vector in enumerate(self.vectors)
        ]
        used = {"prompt_tokens": self.tokens, "total_tokens": self.tokens}
        return {"object": "list", "data": data, "model": model, "usage": used}


def read_embedding(body: bytes) -> Embedding:
    """Raises RequestUnserved (KF501)."""
    return read(body, Embedding)


async def embedded(
    scheduler: Scheduler, wish: Embedding, tenant: str = "", charge: Callable[[int], None] = lambda _: None
) -> Embedded:
    """scheduler: of an engine with a tap behind its last block. charge: as `Service.embed`. Raises EmbeddingImpossible
    (KF509), ContextTooLong (KF394), QueueFull (KF502)."""
    facts = scheduler.facts
    if not facts.width or not facts.takes_tokens:
        raise EmbeddingImpossible(detail="it has no hidden states that could be read from a text")
    if wish.dimensions not in (None, facts.width):
        raise RequestUnserved(detail=f"dimensions: it has {facts.width}, no others")
    vectors, total = [], 0
    for text in wish.inputs:
        tokens = await scheduler.call(lambda engine, text=text: _tokens(engine, text))  # type: ignore[misc]
        if len(tokens) > scheduler.limit_tokens:
            limit = scheduler.limit_tokens
            raise ContextTooLong(tokens=len(tokens), excess_tokens=len(tokens) - limit, limit_tokens=limit)
        charge(len(tokens))
        vectors.append(await _vector(scheduler, tokens, tenant))
        total += len(tokens)
    return Embedded(vectors, total)


def _tokens(engine: Engine, given: str | Sequence[int]) -> list[int]:
    if isinstance(given, str):
        return prompt_of(engine, given)
    if not given or not all(0 <= token < engine.facts.vocabulary for token in given):
        raise RequestUnserved(detail=f"input: tokens from 0 to {engine.facts.vocabulary - 1}, at least one, are taken")
    return list(given)


async def _vector(scheduler: Scheduler, tokens: Sequence[int], tenant: str) -> Floats:
    total = np.zeros(scheduler.facts.width, np.float64)
    async with scheduler.hold(tenant) as sequence:
        for begin in range(0, len(tokens), ROWS):
            part = tokens[begin : begin + ROWS]

            def run(engine: Engine, part: Sequence[int] = part, sequence: int = sequence) -> Floats:
                hidden = engine.decode([Piece(sequence, part, wanted="none")])[0].hidden
                if hidden is None:
                    raise EmbeddingImpossible(detail="its blocks can't be read")
                return hidden

            total += (await scheduler.call(run, rows=len(part), context=begin)).sum(axis=0)
    mean = total / len(tokens)
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
