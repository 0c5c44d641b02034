"""One answer, token by token, on one sequence. Many at a time are the scheduler's work (models/serving)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.engine.port import Engine
from models.engine.sampling import Sampling
from models.engine.turn import Ended, Step, Turn

__all__ = ["Ended", "Step", "generate"]


def generate(engine: Engine, sequence: int, prompt: Sequence[int], sampling: Sampling) -> Iterator[Step]:
    """Go on from what the sequence holds. Raises ContextTooLong (KF394) for a prompt that does not fit, and as
    `Engine.decode`."""
    turn = Turn(engine, sequence, prompt, sampling)
    try:
        ended = ""
        while not ended:
            step = turn.take(engine.decode([turn.piece()])[0].logits)
            assert step is not None
            ended = step.ended
            yield step
    finally:
        turn.close()
