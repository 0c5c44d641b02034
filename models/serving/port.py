"""The port between whoever wants tokens and whoever decides who gets them when.

What is behind it owns one engine on its own thread. `FifoScheduler` is the plain one, turns in the order of asking;
`StallFreeScheduler` plans its steps, and is what servers use.
A better one may batch, preempt, place or share prefixes as it likes, as long as it holds to this:

1. An answer is what `generate` says on an engine by itself, up to how a step's shape changes the order of sums
   (docs/engine.md, "What holds for which memory").
2. Who stops iterating, or is cancelled, has its sequence freed within one step; nobody else notices.
3. A sequence that is held belongs to its holder alone until it is let go, and is empty at first.
4. What does not fit is refused before anything is computed for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from models.engine.port import Engine, Facts
from models.engine.sampling import Sampling
from models.engine.turn import Step
from models.serving.tally import Tally

T = TypeVar("T")


@dataclass(frozen=True)
class Load:
    """running, waiting: requests. step_s: seconds of a step of one row, as measured lately, and row_s of each row more;
    0 before anything ran."""

    running: int
    waiting: int
    step_s: float = 0.0
    row_s: float = 0.0


class Scheduler(Protocol):
    @property
    def facts(self) -> Facts: ...

    @property
    def limit_tokens(self) -> int:
        """How many tokens a sequence that is held (`hold`) may take."""
        ...

    @property
    def longest_tokens(self) -> int:
        """How many tokens an answer may have together with its prompt."""
        ...

    @property
    def load(self) -> Load: ...

    @property
    def tally(self) -> Tally: ...

    @property
    def stalled_s(self) -> float:
        """How long there has been something to do and nothing was done; small while all is well."""
        ...

    def answer(self, prompt: Sequence[int], sampling: Sampling, tenant: str = "") -> AsyncIterator[Step]:
        """tenant: for whom, so that no one takes the machine from the others. Raises ContextTooLong (KF394), QueueFull
        (KF502), SamplingInvalid (KF401), SchemaRefused (KF397), or what `Engine.decode` does."""
        ...

    def hold(self, tenant: str = "") -> AbstractAsyncContextManager[int]:
        """A sequence to do with as one likes, by `call`, once it is one's turn. Raises QueueFull (KF502)."""
        ...

    async def call(self, work: Callable[[Engine], T], rows: int = 0, context: int = 0) -> T:
        """Run `work` on the engine's thread. rows: how many it computes behind how much context, so that its time can
        be told from."""
        ...

    async def close(self) -> None:
        """Answers under way end with EngineStopped (KF400)."""
        ...
