"""A question about a picture, by a language model with a projector: rows of the picture where its asker would have put
it, then the question."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.engine.generate import generate
from models.engine.port import Engine, Piece, Seen
from models.engine.sampling import Sampling
from models.engine.trust import Trust
from models.engine.turn import Step
from models.errors import ContextTooLong
from models.serving.template import Said, begin_of_user, stops_of, tokens_of

if TYPE_CHECKING:
    from models.engine.llama.engine import LlamaEngine
    from models.engine.llama.eyes import Eyes

CONTEXT_TOKENS = 4096


class Sees(Protocol):
    """The projector's side (models/engine/llama/eyes.py)."""

    def look(self, picture: NDArray[np.uint8]) -> list[Seen]: ...


def see(engine: Engine, eyes: Sees, picture: NDArray[np.uint8], question: str, sampling: Sampling) -> Iterator[Step]:
    """picture: height x width x 3, red first. What sequence 0 held is thrown away. Raises ContextTooLong (KF394),
    EyesUnfit (KF330), and as `Engine.decode`."""
    tokens = tokens_of(engine, [Said("user", question)])
    before = begin_of_user(engine)
    assert tokens[: len(before)] == before
    seen = eyes.look(picture)
    total, limit = len(tokens) + 1 + sum(one.length for one in seen), engine.facts.longest_tokens
    if total > limit:
        raise ContextTooLong(tokens=total - 1, excess_tokens=total - limit, limit_tokens=limit - 1)
    engine.rollback(0, 0)
    for one in (Seen(tuple(before)), *seen):
        if one.length:
            engine.decode([Piece(0, one.tokens, one.rows, wanted="none")])
    yield from generate(engine, 0, tokens[len(before) :], sampling)


class Sight:
    """A model with its projector, opened. Belongs to one thread. Raises as `load` and `Eyes` do."""

    def __init__(self, model: Path, projector: Path, trust: Trust) -> None:
        from models.engine.llama.engine import LlamaEngine, Options  # noqa: PLC0415 (weights are opened on demand)
        from models.engine.llama.eyes import Eyes  # noqa: PLC0415
        from models.engine.llama.weights import load  # noqa: PLC0415

        threads = max(1, (os.cpu_count() or 1) - 1)
        self._weights = load(model, trust)
        self._eyes: Eyes | None = None
        self._engine: LlamaEngine | None = None
        try:
            self._eyes = Eyes(projector, trust, self._weights, threads=threads)
            self._engine = LlamaEngine(self._weights, Options(context_tokens=CONTEXT_TOKENS, threads=threads))
        except BaseException:
            self.close()
            raise

    def told(self, image: NDArray[Any], question: str, max_tokens: int) -> Iterator[str]:
        """image: BGR, uint8, height x width x 3. Raises as `see`."""
        assert self._engine is not None
        assert self._eyes is not None
        picture = np.ascontiguousarray(image[:, :, ::-1])
        sampling = Sampling(temperature=0.0, max_tokens=max_tokens, stop=stops_of(self._engine))
        for step in see(self._engine, self._eyes, picture, question, sampling):
            if step.text:
                yield step.text

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        if self._eyes is not None:
            self._eyes.close()
        self._weights.close()
